"""tinylm: pre-train tiny BERTs on your own text, fine-tune them to your labels, let a committee of them vote."""
