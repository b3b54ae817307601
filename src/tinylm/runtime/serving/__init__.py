"""What `tinylm serve` is made of: limits, batches, messages, metrics, pages, connections and processes."""
