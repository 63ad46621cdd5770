"""How the presenters are made. Nothing here is imported by the package."""
