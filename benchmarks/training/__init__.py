"""Training speed and memory beside the loops one would write with `transformers`."""
