"""The questions we ask of trained models, and what else a user could pick."""
