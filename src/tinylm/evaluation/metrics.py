"""How good a classifier is: accuracy with its interval, macro F1, calibration, and what it mixes up most."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError

_Z = 1.959963984540054
"""The normal distribution has 95 % between minus and plus this."""

_CALIBRATION_BINS = 15
_WORST_PAIRS = 5


@dataclass(frozen=True)
class Confusion:
    """Texts of one class that were taken for another.

    Attributes:
        true: index of the class they belong to.
        predicted: index of the class they were given.
        count: how many texts.
    """

    true: int
    predicted: int
    count: int


@dataclass(frozen=True)
class ClassMeasures:
    """How well one class is told from the others; as scikit-learn's `classification_report`, 0 where there is nothing.

    Attributes:
        precision: of the texts that were given it, the fraction that belongs to it.
        recall: of the texts that belong to it, the fraction that was given it.
        f1: their harmonic mean.
        n: texts that belong to it.
    """

    precision: float
    recall: float
    f1: float
    n: int


@dataclass(frozen=True)
class Evaluation:
    """Measures of one set of predictions.

    Attributes:
        n: texts that were classified.
        accuracy: fraction that is right, 0 to 1.
        interval: 95 % Wilson score interval of the accuracy, (low, high).
        macro_f1: mean F1 of the classes that occur among the labels or the predictions, 0 to 1.
        expected_calibration_error: see `expected_calibration_error`.
        worst_pairs: up to five most frequent confusions, most frequent first.
        by_class: measures of each class, in their order.
    """

    n: int
    accuracy: float
    interval: tuple[float, float]
    macro_f1: float
    expected_calibration_error: float
    worst_pairs: tuple[Confusion, ...]
    by_class: tuple[ClassMeasures, ...]


def evaluate(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> Evaluation:
    """Measure predictions against the truth.

    Args:
        probabilities: shape (texts, classes).
        labels: the true classes, integers in [0, classes) of shape (texts,).

    Raises:
        InputError: the shapes do not match, there is no text, or a label is not a class.
    """
    predictions, truth = _checked(probabilities, labels)
    predicted = predictions.argmax(axis=-1)
    right = int(np.count_nonzero(predicted == truth))
    return Evaluation(
        n=len(truth),
        accuracy=right / len(truth),
        interval=accuracy_interval(right, len(truth)),
        macro_f1=_macro_f1(truth, predicted),
        expected_calibration_error=expected_calibration_error(predictions, truth),
        worst_pairs=_worst_pairs(truth, predicted, classes=predictions.shape[1]),
        by_class=_by_class(truth, predicted, classes=predictions.shape[1]),
    )


def accuracy_interval(right: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval (Wilson, 1927) of an accuracy of `right` among `n`: (low, high)."""
    accuracy, z_squared_by_n = right / n, _Z**2 / n
    centre = (accuracy + z_squared_by_n / 2) / (1 + z_squared_by_n)
    half = math.sqrt(accuracy * (1 - accuracy) * z_squared_by_n + z_squared_by_n**2 / 4) / (1 + z_squared_by_n)
    return max(0.0, centre - half), min(1.0, centre + half)


def expected_calibration_error(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean distance of confidence from accuracy, over 15 equal-width bins weighted by their texts.

    Guo et al. 2017 (arXiv 1706.04599), equation 3; bin m holds confidences in ((m-1)/15, m/15].

    Args:
        probabilities: shape (texts, classes).
        labels: the true classes, integers in [0, classes) of shape (texts,).

    Returns:
        0 (confidence can be taken at its word) to 1.

    Raises:
        InputError: the shapes do not match, there is no text, or a label is not a class.
    """
    predictions, truth = _checked(probabilities, labels)
    confidence = predictions.max(axis=-1)
    right = predictions.argmax(axis=-1) == truth
    inner_edges = np.linspace(0, 1, _CALIBRATION_BINS + 1)[1:-1]
    bins = np.digitize(confidence, inner_edges, right=True)
    # |bin| / n * |accuracy - confidence| = |sum over the bin of (right - confidence)| / n
    gaps = np.bincount(bins, weights=right - confidence, minlength=_CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _checked(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    predictions = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(labels, dtype=np.int64)
    if predictions.ndim != 2 or not predictions.size or truth.shape != predictions.shape[:1]:
        raise InputError(
            f"Probabilities of shape {predictions.shape} and labels of shape {truth.shape} do not match; "
            "give (texts, classes) and (texts,), with at least one text."
        )
    if truth.min() < 0 or truth.max() >= predictions.shape[1]:
        raise InputError(
            f"Labels run from {truth.min()} to {truth.max()}, but there are {predictions.shape[1]} classes; "
            "give the index of a class for each text."
        )
    return predictions, truth


def _macro_f1(truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> float:
    right, belong, given = (
        np.bincount(x, minlength=1 + max(truth.max(), predicted.max()))
        for x in (truth[truth == predicted], truth, predicted)
    )
    occurs = belong + given > 0
    return float(np.mean(2 * right[occurs] / (belong + given)[occurs]))


def _by_class(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int
) -> tuple[ClassMeasures, ...]:
    right, belong, given = (
        np.bincount(x, minlength=classes).tolist() for x in (truth[truth == predicted], truth, predicted)
    )
    return tuple(
        ClassMeasures(hits / max(1, taken), hits / max(1, n), 2 * hits / max(1, n + taken), n)
        for hits, n, taken in zip(right, belong, given, strict=True)
    )


def _worst_pairs(truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int) -> tuple[Confusion, ...]:
    wrong = truth != predicted
    pairs, counts = np.unique(truth[wrong] * classes + predicted[wrong], return_counts=True)
    worst = np.argsort(-counts, kind="stable")[:_WORST_PAIRS]
    return tuple(Confusion(*divmod(int(pairs[i]), classes), count=int(counts[i])) for i in worst)


def label_lines(labels: Sequence[str], scores: Sequence[tuple[float, float, float, int]]) -> list[str]:
    """Precision, recall, F1 and number of texts of each label, as a table for people."""
    width = max(map(len, ("label", *labels)))
    lines = [f"{'label':<{width}}  precision  recall     F1  texts"]
    for label, (precision, recall, f1, texts) in zip(labels, scores, strict=True):
        lines.append(f"{label:<{width}}  {precision:9.3f}  {recall:6.3f}  {f1:5.3f}  {texts:5,}")
    return lines
