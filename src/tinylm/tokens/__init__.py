"""Text to token ids: vocabularies, token files, sequences."""
