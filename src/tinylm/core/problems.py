"""What is asked of a text: its one label, or which of several labels it has. The names are those of `transformers`."""

from typing import Literal

ProblemType = Literal["single_label_classification", "multi_label_classification"]

ONE_LABEL: ProblemType = "single_label_classification"
"""Each text has one label: probabilities sum to 1."""
SEVERAL_LABELS: ProblemType = "multi_label_classification"
"""A text has any number of labels, or none: each has a probability of its own."""
