"""What runs have recorded: read, checked, and put together."""
