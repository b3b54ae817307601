"""What is measured of the votes of a committee's members, besides the accuracy of the soft vote."""

import numpy as np
import numpy.typing as npt

SUBSETS = 60
"""Committees of each size that are averaged, at most."""


def hard_votes(votes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Votes whose mean counts members: each gives its class all but a little of its probability.

    What is left is shared as the member's probabilities are, too little to outweigh one member, so that among classes
    with equal counts the one of the highest mean probability wins.

    Args:
        votes: (members, texts, classes) probabilities.
    """
    members, _, classes = votes.shape
    rest = 1 / (2 * members)
    return np.asarray((1 - rest) * np.eye(classes)[votes.argmax(2)] + rest * votes)


def error_correlation(votes: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float | None:
    """Mean Pearson correlation, over pairs of members, of whether they are wrong; None where one is never or always.

    Args:
        votes: (members, texts, classes) probabilities, of two members or more.
        labels: (texts,) true classes.
    """
    wrong = (votes.argmax(2) != labels).astype(np.float64)
    if (wrong.std(axis=1) == 0).any():
        return None
    correlations = np.corrcoef(wrong)
    return float(correlations[np.triu_indices(len(wrong), 1)].mean())
