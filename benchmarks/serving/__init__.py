"""How `tinylm serve` bears load and abuse, and whether it loses a request when it is stopped."""
