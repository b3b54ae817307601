"""How fastText is given a text, in training and in use."""

import re


def fast_text_line(text: str) -> str:
    """Lower case and punctuation apart, as the examples of fastText prepare a text."""
    return re.sub(r"([^\w\s])", r" \1 ", text.lower()).replace("\n", " ") + "\n"
