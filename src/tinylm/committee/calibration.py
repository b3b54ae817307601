"""Calibration: the temperature at which a committee is as sure of itself as it is often right."""

import numpy as np
import numpy.typing as npt

from tinylm.committee.voting import apply_temperature
from tinylm.core.errors import InputError

_SHARPEST, _FLATTEST = 0.1, 10.0
_STEPS = 40
"""Halvings of the interval between the two: far below what any data can tell."""


def fit_temperature(
    logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], weights: npt.NDArray[np.floating] | None = None
) -> float:
    """The temperature of the lowest cross-entropy on labelled texts (Guo et al., 2017, arXiv 1706.04599, section 4.2).

    One text more is taken to be of all classes alike, as Platt scaling smooths its targets (Platt, 1999, section 2.2):
    a few texts that are all predicted rightly do not make predictions certain. The cross-entropy is convex in 1 / T, so
    its derivative, the mean of E_p[z] - z_y, is halved towards zero.

    Args:
        logits: (texts, classes), or logarithms of probabilities, of texts that were not trained on.
        labels: (texts,) true classes.
        weights: (texts,), how much each counts; all alike when None.

    Returns:
        Between 0.1 and 10.

    Raises:
        InputError: there is no text.
    """
    if not len(labels):
        raise InputError("a temperature needs labelled texts that were not trained on, and there are none")
    wide = np.asarray(logits, dtype=np.float64)
    smoothed = 1 / (1 + (len(labels) if weights is None else float(np.sum(weights))))
    truth = (1 - smoothed) * wide[np.arange(len(labels)), labels] + smoothed * wide.mean(axis=1)
    low, high = np.log(1 / _FLATTEST), np.log(1 / _SHARPEST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        expected = (apply_temperature(wide, float(np.exp(-middle))) * wide).sum(axis=1)
        if np.average(expected - truth, weights=weights) > 0:
            high = middle
        else:
            low = middle
    return float(np.exp(-(low + high) / 2))
