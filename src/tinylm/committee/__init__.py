"""A committee on disk, and the arithmetic of its vote."""
