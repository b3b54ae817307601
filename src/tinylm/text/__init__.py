"""What we read: corpora, tasks, vocabularies, token files."""
