"""What is measured of the votes of a committee's members, besides the accuracy of the soft vote."""

import numpy as np
import numpy.typing as npt

from tinylm.core.seeds import numpy_generator

SUBSETS = 60
"""Committees of each size that are averaged, at most."""


def hard_accuracy(votes: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], size: int) -> float:
    """Mean accuracy of majority votes of `size` members, over some committees of so many.

    Args:
        votes: (members, texts, classes) probabilities.
        labels: (texts,) true classes.
        size: members of a committee. Among classes with equal votes the one of the highest mean probability wins.
    """
    members, _, classes = votes.shape
    one_hot = np.eye(classes)[votes.argmax(2)]  # (members, texts, classes)
    generator = numpy_generator(0, "hard committees", size)
    accuracies = []
    for _ in range(min(SUBSETS, members) if size < members else 1):
        chosen = generator.choice(members, size, replace=False)
        counts = one_hot[chosen].sum(0) + votes[chosen].mean(0) / 2
        accuracies.append(float(np.mean(counts.argmax(1) == labels)))
    return float(np.mean(accuracies))


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
