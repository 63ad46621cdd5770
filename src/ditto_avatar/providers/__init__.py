"""What every engine with a service behind it needs: retries, deadlines, health."""
