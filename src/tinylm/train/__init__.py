"""How we train: one loop, and the two jobs it runs."""
