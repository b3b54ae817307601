"""What makes a committee: kinds of member, and the share of a linear n-gram classifier in the vote.

Both are chosen by what each predicts of labels that it did not learn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

from tinylm.committee.calibration import fit_temperature
from tinylm.committee.voting import Vote, Voting, apply_temperature, vote

_STANDARD_ERRORS = 2.0
"""By how many a mix has to be better than the default one: the best of 35 is better than it by one of chance alone."""

_NGRAM_STANDARD_ERRORS = 1.0
"""By how many a vote with n-grams has to be better than one without: the best of 6 shares, which are much alike."""

_FEWEST = 30
"""Labels below which nothing is chosen or calibrated."""

_SMALLEST = 1e-12

NGRAM_C = (0.1, 0.3, 1.0, 3.0)
"""Inverse strengths of regularisation to choose from."""
_NGRAM_WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8)
"""Shares of the vote to choose from."""


@dataclass(frozen=True)
class NgramVote:
    """How the linear n-gram classifier is fitted, and what its vote counts for."""

    C: float
    """Inverse strength of its regularisation."""
    temperature: float
    """What its scores are divided by."""
    weight: float
    """Its share of the vote."""


_UNSEARCHED = NgramVote(C=1.0, temperature=0.25, weight=0.35)
"""Where there are too few labels to choose by; docs/LOG.md, "A linear n-gram classifier votes"."""


@dataclass(frozen=True)
class Mix:
    """Kinds of member, in the order in which members take them, and what votes with them."""

    kinds: tuple[int, ...]
    """As many as there are kinds, some of them perhaps twice; committees of more members repeat them."""
    loss: float
    """Cross-entropy of their mean on the held-out labels, in nats."""
    default_loss: float
    """That of the default mix, which each kind is in once."""
    temperature: float
    """At which the vote is calibrated."""
    ngrams: NgramVote | None = None
    """None where the members vote alone."""

    @property
    def is_default(self) -> bool:
        """Whether each kind is in it once."""
        return len(set(self.kinds)) == len(self.kinds)


def choose_mix(
    predictions: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    members: int,
    how: Vote = "probability",
    ngram_scores: npt.NDArray[np.floating] | None = None,
) -> Mix:
    """The mix of the lowest cross-entropy; of kinds the default one where that may be chance.

    Args:
        predictions: (kinds, texts, classes) probabilities; no kind learnt these texts.
        labels: (texts,) true classes.
        members: of the committee, which takes the first kinds of the mix; temperature and shares are for so many.
        how: how they vote.
        ngram_scores: (len(NGRAM_C), texts, classes) scores of the linear n-gram classifier for each C, which did not
            learn these texts either; the members vote alone when None.

    Returns:
        The mix.
    """
    default = tuple(range(len(predictions)))
    default_loss = float(_losses(predictions, labels, default).mean())
    if len(labels) < _FEWEST:
        ngrams = None if ngram_scores is None else _UNSEARCHED
        return Mix(default, default_loss, default_loss, temperature=1.0, ngrams=ngrams)
    every = combinations_with_replacement(default, len(default))
    best = min(every, key=lambda kinds: _losses(predictions, labels, kinds).mean())
    gain = _losses(predictions, labels, default) - _losses(predictions, labels, best)
    kinds = _ordered(predictions, labels, best) if _is_clear(gain, _STANDARD_ERRORS) else default
    temperature, ngrams = _choose_vote(predictions[list(kinds[:members])], labels, how, ngram_scores)
    loss = float(_losses(predictions, labels, kinds).mean())
    return Mix(kinds, loss, default_loss, temperature, ngrams)


def _choose_vote(
    votes: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    how: Vote,
    ngram_scores: npt.NDArray[np.floating] | None,
) -> tuple[float, NgramVote | None]:
    """Temperature of the vote, and the n-gram classifier that lowers its cross-entropy most, if one does so clearly."""
    alone = _calibrated(vote(votes, Voting(how)), labels)
    if ngram_scores is None:
        return alone[1], None
    fitted = [fit_temperature(scores, labels) for scores in ngram_scores]
    probabilities = [apply_temperature(s, t) for s, t in zip(ngram_scores, fitted, strict=True)]
    best = int(np.argmin([_cross_entropy(p, labels).mean() for p in probabilities]))
    found = {0.0: alone}
    for weight in _NGRAM_WEIGHTS[1:]:
        found[weight] = _calibrated(vote(votes, Voting(how, ngram_weight=weight), probabilities[best]), labels)
    weight = min(found, key=lambda weight: found[weight][0].mean())
    if not _is_clear(alone[0] - found[weight][0], _NGRAM_STANDARD_ERRORS):
        return alone[1], None
    return found[weight][1], NgramVote(NGRAM_C[best], fitted[best], weight)


def _is_clear(gain: npt.NDArray[np.float64], standard_errors: float) -> bool:
    """Whether the mean of what each text gains, (texts,), is more than so many of its standard errors."""
    return bool(gain.mean() > standard_errors * gain.std(ddof=1) / np.sqrt(len(gain)))


def _calibrated(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.float64], float]:
    """Cross-entropy of each text at the best temperature, and that temperature."""
    logits = np.log(np.maximum(probabilities, _SMALLEST))
    temperature = fit_temperature(logits, labels)
    return _cross_entropy(apply_temperature(logits, temperature), labels), temperature


def _cross_entropy(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Of each text: (texts,)."""
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], _SMALLEST)))


def _ordered(
    predictions: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], kinds: Sequence[int]
) -> tuple[int, ...]:
    """With what is best alone first, then what is best beside it, and so on, for committees of fewer members."""
    left, ordered = list(kinds), list[int]()
    while left:
        following = min(left, key=lambda kind: _losses(predictions, labels, [*ordered, kind]).mean())
        left.remove(following)
        ordered.append(following)
    return tuple(ordered)


def _losses(
    predictions: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], kinds: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Cross-entropy of each text: (texts,)."""
    return _cross_entropy(predictions[list(kinds)].mean(axis=0, dtype=np.float64), labels)
