"""Avatar packs from a photo or a film of one face, on the CPU and with nothing downloaded."""
