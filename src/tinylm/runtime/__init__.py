"""How it answers. Nothing here imports torch."""
