"""How the networks are run: as they are, or compiled for a device."""
