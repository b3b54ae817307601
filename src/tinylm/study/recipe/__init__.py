"""The study `recipe`: accuracy for minutes of pre-training."""
