"""`tinylm serve`: a classifier behind HTTP."""
