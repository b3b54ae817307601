"""What a user would pick instead of a tiny language model, measured on the same texts."""
