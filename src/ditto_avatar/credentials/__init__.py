"""Sign films with content credentials (C2PA) that say that AI made them, and read them."""
