"""What models are trained to predict: one file an objective, each with its targets and its named term of the loss."""
