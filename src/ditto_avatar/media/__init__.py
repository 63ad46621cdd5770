"""Pictures and sound to and from MP4."""
