"""What each family of networks takes and gives."""
