"""Accuracy and tokens in other languages than English."""
