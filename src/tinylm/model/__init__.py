"""What we train: shapes, encoder, heads, checkpoints."""
