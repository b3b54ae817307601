"""What stands between the embeddings and the first layer, one file for each kind."""
