"""Thresholds for several labels a text: from which probability on a text has a label.

They are those of the highest micro plus macro F1 on held-out texts. One threshold for all labels is sure of itself, and
wrong for labels that are never probable; one for each fits those, and is noise where the label is rare. So a label gets
its own where it has enough held-out texts, and the others share one; how many are enough is chosen by cross-validation
on the same texts (docs/LOG.md, "Several labels a text").
"""

import numpy as np
import numpy.typing as npt

from tinylm.core.seeds import numpy_generator

TRUST = 0.5
"""Share of the truth that is replaced by what the probabilities say: they know more of a label with a handful of texts
than these texts do."""

_ENOUGH = (np.inf, 50.0, 20.0, 10.0, 5.0, 2.0)
"""Held-out texts of a label from which on it gets a threshold of its own, to choose from; the first is never."""
_FOLDS = 5
_PASSES = 3
"""Times that each threshold is chosen anew, given the others, which micro F1 ties it to."""

Scores = npt.NDArray[np.floating]
Truth = npt.NDArray[np.integer]


def choose_thresholds(scores: Scores, truth: Truth, seed: int = 0, trust: float = 0.0) -> npt.NDArray[np.float64]:
    """Thresholds of the highest F1, as far as held-out texts can tell.

    Args:
        scores: (texts, labels) of texts that were not trained on: probabilities, or any scores.
        truth: (texts, labels) 0 or 1.
        seed: of the folds.
        trust: share of the truth that is replaced by the scores, which must be probabilities then; see `TRUST`.

    Returns:
        (labels,): a text has a label where its score is at least this.
    """
    found = [cross_validated_f1(scores, truth, seed, trust, enough) for enough in _ENOUGH]
    return _thresholds(scores, truth, _ENOUGH[int(np.argmax(found))], trust)


def f1_scores(predicted: npt.NDArray[np.bool_], truth: Truth) -> tuple[float, npt.NDArray[np.float64]]:
    """Micro F1, and the F1 of each label, 0 where it neither occurs nor is predicted: (labels,)."""
    true_positives = (predicted & (truth == 1)).sum(axis=0)
    both = predicted.sum(axis=0) + truth.sum(axis=0)
    micro = 2 * float(true_positives.sum()) / max(1, int(both.sum()))
    return micro, 2 * true_positives / np.maximum(1, both)


def cross_validated_f1(
    scores: Scores, truth: Truth, seed: int = 0, trust: float = 0.0, enough: float = _ENOUGH[-2]
) -> float:
    """Micro plus macro F1 of texts whose thresholds are from the other folds; see `choose_thresholds`."""
    folds = numpy_generator(seed, "threshold folds").permutation(len(scores)) % _FOLDS
    predicted = np.zeros(scores.shape, dtype=bool)
    for fold in range(_FOLDS):
        others, texts = folds != fold, folds == fold
        if others.any():
            predicted[texts] = scores[texts] >= _thresholds(scores[others], truth[others], enough, trust)
    micro, by_label = f1_scores(predicted, truth)
    occurs = truth.any(axis=0)
    return micro + (float(by_label[occurs].mean()) if occurs.any() else 0.0)


def _thresholds(scores: Scores, truth: Truth, enough: float, trust: float) -> npt.NDArray[np.float64]:
    """(labels,): a label of too few texts has the one that is best for all."""
    labels = scores.shape[1]
    shared = _best(scores.ravel(), truth.ravel())
    thresholds = np.full(labels, shared)
    own = np.flatnonzero(truth.sum(axis=0) >= enough)
    if not len(own):
        return thresholds
    expected = (1 - trust) * truth + trust * scores if trust else truth.astype(np.float64)
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=0)
    hits = np.cumsum(np.take_along_axis(expected, order, axis=0), axis=0)  # of the first 1, 2, ... texts
    given, positives = np.arange(1.0, len(scores) + 1), expected.sum(axis=0)
    # Texts with the same score are on one side.
    parts = np.concatenate([ranked[:-1] > ranked[1:], np.ones((1, labels), bool)])
    kept = (scores >= shared).sum(axis=0)
    found = np.where(kept > 0, hits[np.maximum(kept - 1, 0), np.arange(labels)], 0.0)
    for _ in range(_PASSES):
        for label in own:
            others = found.sum() - found[label], (kept + positives).sum() - kept[label] - positives[label]
            micro = 2 * (others[0] + hits[:, label]) / (others[1] + given + positives[label])
            macro = 2 * hits[:, label] / (given + positives[label]) / labels
            best = int(np.argmax(np.where(parts[:, label], micro + macro, -1.0)))
            kept[label], found[label] = best + 1, hits[best, label]
    for label in own:
        thresholds[label] = _between(ranked[:, label], int(kept[label]) - 1)
    return thresholds


def _best(scores: Scores, truth: Truth) -> float:
    """The threshold of the highest F1."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    f1 = 2 * np.cumsum(truth[order]) / (np.arange(1, len(order) + 1) + max(1, truth.sum()))
    f1[:-1][ranked[:-1] == ranked[1:]] = -1
    return _between(ranked, int(np.argmax(f1)))


def _between(ranked: Scores, last: int) -> float:
    """Half way between the score of the last that is taken and the next."""
    return float(ranked[last] if last + 1 == len(ranked) else (float(ranked[last]) + float(ranked[last + 1])) / 2)
