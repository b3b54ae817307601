"""The studies, a question in each file."""
