"""What makes a committee: kinds of member, and the share of a linear n-gram classifier in the vote.

Both are chosen by what each predicts of labels that it did not learn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tinylm.committee.calibration import fit_temperature
from tinylm.committee.thresholds import TRUST, choose_thresholds, cross_validated_f1
from tinylm.committee.voting import Vote, Voting, apply_temperature, as_questions, vote
from tinylm.core.problems import SEVERAL_LABELS

_STANDARD_ERRORS = 2.0
"""By how many kinds of member have to be better than the default ones, and a fit of n-grams than the usual one: the
best of 35 is better by one of chance alone."""

_NGRAM_STANDARD_ERRORS = 0.5
"""By how many n-grams have to lower the cross-entropy to vote at all; docs/LOG.md, "The share of n-grams again"."""

FEWEST = 30
"""Held-out texts below which nothing is chosen or calibrated."""

_SMALLEST = 1e-12

TermFrequency = Literal["sublinear", "binary"]
"""What an n-gram that a window has c times counts for: 1 + log c, or 1."""


class NgramFit(NamedTuple):
    """How a linear n-gram classifier may be fitted."""

    tf: TermFrequency
    """Of its features."""
    characters: bool
    """Whether the character n-grams within pieces are features as well."""
    C: float
    """Inverse strength of its regularisation."""
    log_count_ratio: bool = False
    """Whether features count by their log-count ratio between a class and the others."""


NGRAM_FITS = (
    *(NgramFit("sublinear", False, c) for c in (0.1, 0.3, 1.0, 3.0)),
    NgramFit("binary", False, 1.0),
    *(NgramFit("sublinear", True, c) for c in (1.0, 3.0)),
    *(NgramFit("sublinear", False, c, log_count_ratio=True) for c in (0.1, 0.3, 1.0)),
    *(NgramFit("sublinear", True, c, log_count_ratio=True) for c in (0.3, 1.0)),
)
"""Fits to choose from; docs/LOG.md, "What recurs in a text", "Characters within pieces" and "Log-count ratios"."""

_USUAL_FITS = (
    NgramFit("sublinear", True, 0.3, log_count_ratio=True),
    NgramFit("sublinear", False, 0.3, log_count_ratio=True),
)
"""The fit that others have to be clearly better than, and the one in its place where characters take too long."""

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
    tf: TermFrequency = "sublinear"
    """Of its features."""
    characters: bool = False
    """Whether the character n-grams within pieces are features as well."""
    log_count_ratio: bool = False
    """Whether features count by their log-count ratio between a class and the others."""


UNSEARCHED = NgramVote(C=0.3, temperature=0.25, weight=0.5, characters=True, log_count_ratio=True)
"""Where there are too few labels to choose by; docs/LOG.md, "Log-count ratios"."""


@dataclass(frozen=True)
class Mix:
    """Kinds of member, in the order in which members take them, and what votes with them."""

    kinds: tuple[int, ...]
    """As many as there are kinds, some of them perhaps twice; committees of more members repeat them. Empty where none
    was chosen, or the encoders of members are frozen, and there are no kinds."""
    loss: float | None
    """Cross-entropy of their mean on the held-out labels, in nats; None where none was chosen."""
    default_loss: float | None
    """That of the default mix, which each kind is in once."""
    temperature: float
    """At which the vote is calibrated."""
    ngrams: NgramVote | None = None
    """None where the members vote alone."""
    thresholds: tuple[float, ...] = ()
    """Of several labels a text; none where there is one, or were too few to choose by."""

    @property
    def is_default(self) -> bool:
        """Whether each kind is in it once."""
        return len(set(self.kinds)) == len(self.kinds)


UNSEARCHED_MIX = Mix((), None, None, temperature=1.0, ngrams=UNSEARCHED)
"""Where fewer than `FEWEST` texts are held out."""


def choose_mix(
    predictions: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    members: int,
    how: Vote = "probability",
    ngram_scores: npt.NDArray[np.floating] | None = None,
    weights: npt.NDArray[np.floating] | None = None,
) -> Mix:
    """The mix of the lowest cross-entropy; of kinds the default one where that may be chance, of few texts none.

    Args:
        predictions: (kinds, texts, classes) probabilities; no kind learnt these texts.
        labels: (texts,) true classes; (texts, classes) 0 or 1 where a text may have several, for which the mean
            cross-entropy of its labels counts.
        members: of the committee, which takes the first kinds of the mix; temperature and shares are for so many.
        how: how they vote.
        ngram_scores: (len(NGRAM_FITS), texts, classes) scores of the linear n-gram classifier by each fit, which did
            not learn these texts either; the members vote alone when None.
        weights: (texts,), how much each counts; all alike when None.

    Returns:
        The mix.
    """
    if len(labels) < FEWEST:
        return UNSEARCHED_MIX if ngram_scores is not None else replace(UNSEARCHED_MIX, ngrams=None)
    # Where none of these texts counts, they say what they can.
    alike = weights is None or not weights.any()
    counted = np.ones(len(labels)) if alike else np.asarray(weights, dtype=np.float64)
    if labels.ndim == 2:
        return _of_several(predictions, labels, members, how, ngram_scores, counted)
    return _choose(predictions, _HeldOut(labels, counted), members, how, ngram_scores)


def _of_several(
    predictions: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    members: int,
    how: Vote,
    ngram_scores: npt.NDArray[np.floating] | None,
    weights: npt.NDArray[np.float64],
) -> Mix:
    """Each text and label is a question of two answers, no and yes.

    Kinds are chosen by cross-entropy, as for one label. The n-gram classifier may not raise it, but its share and its
    regularisation are those of the highest F1, in which labels that are never probable count as much as others.
    """
    questions = labels.shape[1]
    held_out = _HeldOut(labels.ravel(), np.repeat(weights, questions), questions)
    mix = _choose(as_questions(predictions), held_out, members, how, None)
    votes, plain = predictions[list(mix.kinds[:members])], Voting(how, problem_type=SEVERAL_LABELS)
    best, ngrams = vote(votes, plain), None
    highest = cross_validated_f1(best, labels, trust=TRUST)
    alone = held_out.mean(held_out.calibrated(as_questions(best))[0])
    for fit, scores in zip(NGRAM_FITS, () if ngram_scores is None else ngram_scores, strict=False):
        # A machine's score is the logit of yes, where that of no is 0.
        asked = np.stack([np.zeros_like(scores), scores], axis=-1)
        temperature = fit_temperature(asked.reshape(-1, 2), held_out.labels, held_out.weights)
        by_ngrams = apply_temperature(asked, temperature)[..., 1]
        for weight in _NGRAM_WEIGHTS[1:]:
            mixed = vote(votes, replace(plain, ngram_weight=weight), by_ngrams)
            if held_out.mean(held_out.calibrated(as_questions(mixed))[0]) > alone:
                continue
            f1 = cross_validated_f1(mixed, labels, trust=TRUST)
            if f1 > highest:
                highest, best, ngrams = f1, mixed, _vote_of(fit, temperature, weight)
    _, temperature = held_out.calibrated(as_questions(best))
    calibrated = vote(best[None], Voting(temperature=temperature, problem_type=SEVERAL_LABELS))
    thresholds = choose_thresholds(calibrated, labels, trust=TRUST)
    return replace(mix, temperature=temperature, ngrams=ngrams, thresholds=tuple(thresholds.tolist()))


def _choose(
    predictions: npt.NDArray[np.floating],
    held_out: "_HeldOut",
    members: int,
    how: Vote,
    ngram_scores: npt.NDArray[np.floating] | None,
) -> Mix:
    """See `choose_mix`."""
    default = tuple(range(len(predictions)))
    default_loss = held_out.mean(held_out.losses(predictions, default))
    every = combinations_with_replacement(default, len(default))
    best = min(every, key=lambda kinds: held_out.mean(held_out.losses(predictions, kinds)))
    gain = held_out.losses(predictions, default) - held_out.losses(predictions, best)
    kinds = held_out.ordered(predictions, best) if held_out.is_clear(gain, _STANDARD_ERRORS) else default
    temperature, ngrams = _choose_vote(predictions[list(kinds[:members])], held_out, how, ngram_scores)
    return Mix(kinds, held_out.mean(held_out.losses(predictions, kinds)), default_loss, temperature, ngrams)


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """What is known of texts that were not trained on."""

    labels: npt.NDArray[np.integer]
    """(texts,) true classes."""
    weights: npt.NDArray[np.float64]
    """(texts,): how much each counts."""
    questions: int = 1
    """How many neighbours of these, of which each is then a question, are about one and the same text."""

    def mean(self, of_texts: npt.NDArray[np.float64]) -> float:
        """The weighted mean of a number a text, (texts,)."""
        return float(np.average(of_texts, weights=self.weights))

    def is_clear(self, gain: npt.NDArray[np.float64], standard_errors: float) -> bool:
        """Whether the mean of what each text gains, (texts,), is more than so many of its standard errors."""
        gain, weights = (x.reshape(-1, self.questions).mean(axis=1) for x in (gain, self.weights))
        mean, texts = float(np.average(gain, weights=weights)), len(gain)
        spread = np.sqrt((weights**2 * (gain - mean) ** 2).sum() * texts / (texts - 1))
        return bool(mean > standard_errors * spread / weights.sum())

    def losses(self, predictions: npt.NDArray[np.floating], kinds: Sequence[int]) -> npt.NDArray[np.float64]:
        """Cross-entropy of each text: (texts,)."""
        return self.cross_entropy(predictions[list(kinds)].mean(axis=0, dtype=np.float64))

    def cross_entropy(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Of each text: (texts,)."""
        return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(self.labels)), self.labels], _SMALLEST)))

    def calibrated(self, probabilities: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float64], float]:
        """Cross-entropy of each text at the best temperature, and that temperature."""
        logits = np.log(np.maximum(probabilities, _SMALLEST))
        temperature = fit_temperature(logits, self.labels, self.weights)
        return self.cross_entropy(apply_temperature(logits, temperature)), temperature

    def ordered(self, predictions: npt.NDArray[np.floating], kinds: Sequence[int]) -> tuple[int, ...]:
        """With what is best alone first, then what is best beside it, and so on, for committees of fewer members."""
        left, ordered = list(kinds), list[int]()
        while left:
            following = min(left, key=lambda kind: self.mean(self.losses(predictions, [*ordered, kind])))
            left.remove(following)
            ordered.append(following)
        return tuple(ordered)


def _choose_vote(
    votes: npt.NDArray[np.floating],
    held_out: _HeldOut,
    how: Vote,
    ngram_scores: npt.NDArray[np.floating] | None,
) -> tuple[float, NgramVote | None]:
    """Temperature of the vote, and the n-gram classifier with the share of the lowest cross-entropy; or None."""
    alone = held_out.calibrated(vote(votes, Voting(how)))
    if ngram_scores is None:
        return alone[1], None
    fitted = [fit_temperature(scores, held_out.labels, held_out.weights) for scores in ngram_scores]
    probabilities = [apply_temperature(s, t) for s, t in zip(ngram_scores, fitted, strict=True)]
    losses = [held_out.cross_entropy(p) for p in probabilities]
    best = min(range(len(losses)), key=lambda fit: held_out.mean(losses[fit]))
    usual = next(fit for fit in map(NGRAM_FITS.index, _USUAL_FITS) if ngram_scores[fit].any())
    fit = best if held_out.is_clear(losses[usual] - losses[best], _STANDARD_ERRORS) else usual
    found = {0.0: alone}
    for weight in _NGRAM_WEIGHTS[1:]:
        found[weight] = held_out.calibrated(vote(votes, Voting(how, ngram_weight=weight), probabilities[fit]))
    weight = min(found, key=lambda weight: held_out.mean(found[weight][0]))
    if not held_out.is_clear(alone[0] - found[weight][0], _NGRAM_STANDARD_ERRORS):
        return alone[1], None
    return found[weight][1], _vote_of(NGRAM_FITS[fit], fitted[fit], weight)


def _vote_of(fit: NgramFit, temperature: float, weight: float) -> NgramVote:
    return NgramVote(fit.C, temperature, weight, fit.tf, fit.characters, fit.log_count_ratio)
