"""Write pictures and sound to MP4, and read them."""
