"""Accuracy on tasks of many kinds, with all labels or a few of each."""
