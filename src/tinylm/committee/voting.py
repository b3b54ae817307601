"""The soft committee's arithmetic: pooled predictions, disagreement, and what each further member adds.

Everything takes `votes` of shape (members, texts, classes), each row a probability distribution, and needs
nothing but NumPy, so that a committee can be studied from stored predictions without its models. Where a text may have
several labels, each text and label is a question of two answers, no and yes (`as_questions`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS, ProblemType
from tinylm.core.seeds import numpy_generator

Vote = Literal["probability", "logit"]

_SMALLEST = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Voting:
    """How the predictions of the members become one."""

    vote: Vote = "probability"
    """`probability` averages probabilities, `logit` logits."""
    temperature: float = 1.0
    """What the logits of the average are divided by (Guo et al., 2017): above 1, the committee is less sure of itself
    than the average is. The most probable class stays."""
    ngram_weight: float = 0.0
    """Share of the average that the linear n-gram classifier has, where there is one; members share the rest evenly."""
    problem_type: ProblemType = ONE_LABEL
    """Whether each text has one label, or any number of them, each with a probability of its own."""
    thresholds: tuple[float, ...] = ()
    """Of several labels: from which probability on a text has each; 0.5 for all where there are none."""

    @property
    def several(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self.problem_type == SEVERAL_LABELS

    def least(self, labels: int) -> npt.NDArray[np.float64]:
        """The threshold of each label: (labels,)."""
        return np.array(self.thresholds) if self.thresholds else np.full(labels, 0.5)


PLAIN = Voting()
"""The mean of the probabilities, as it is."""


@dataclass(frozen=True)
class SizeAccuracy:
    """Accuracy of committees of one size, over subsets of the members there are.

    Attributes:
        size: members in a committee.
        subsets: committees that were measured.
        mean: their mean accuracy, 0 to 1.
        std: standard deviation of their accuracy (divided by `subsets`, not by one less). Subsets share
            members, so this is the spread of the choice, not a standard error.
    """

    size: int
    subsets: int
    mean: float
    std: float


def vote(votes: npt.ArrayLike, voting: Voting = PLAIN, ngrams: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
    """The committee's prediction.

    Args:
        votes: shape (members, texts, classes), probabilities.
        voting: with `"probability"` it is the mean probability; with `"logit"` the softmax of the mean logit, which is
            the normalised geometric mean of the probabilities: one confident "no" weighs more there. Then its
            temperature is applied. Of several labels each is voted on by itself.
        ngrams: (texts, classes), probabilities of the linear n-gram classifier; the members vote alone when None.

    Returns:
        Probabilities of shape (texts, classes).

    Raises:
        InputError: the votes have another shape or are not probabilities.
    """
    if voting.several:
        asked = as_questions(votes)
        further = None if ngrams is None else as_questions(ngrams)
        shape = np.shape(votes)[1:]
        return vote(asked, replace(voting, problem_type=ONE_LABEL), further)[:, 1].reshape(shape)
    mean = _scores(_checked(votes), voting.vote).mean(axis=0)
    if ngrams is not None:
        further = _scores(_checked(np.asarray(ngrams)[None]), voting.vote)[0]
        mean = (1 - voting.ngram_weight) * mean + voting.ngram_weight * further
    return apply_temperature(_log(mean) if voting.vote == "probability" else mean, voting.temperature)


def as_questions(probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Probabilities (..., texts, labels) of several labels as those of no and yes: (..., texts * labels, 2).

    Raises:
        InputError: they are no probabilities.
    """
    yes = np.asarray(probabilities, dtype=np.float64)
    if yes.ndim < 2 or not np.all((yes >= 0) & (yes <= 1)):
        raise InputError("Votes on several labels are not probabilities; give each label's, from 0 to 1.")
    return np.stack([1 - yes, yes], axis=-1).reshape(*yes.shape[:-2], -1, 2)


def apply_temperature(logits: npt.NDArray[np.floating], temperature: float) -> npt.NDArray[np.float64]:
    """Probabilities of logits (..., classes), which may be logarithms of probabilities, divided by the temperature."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    unnormalised = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(unnormalised / unnormalised.sum(axis=-1, keepdims=True))


def disagreement(votes: npt.ArrayLike, problem_type: ProblemType = ONE_LABEL) -> npt.NDArray[np.float64]:
    """How far the members contradict each other, apart from what each is unsure of by itself.

    The mutual information between the member and its prediction, H(mean_k p_k) - mean_k H(p_k), as in BALD
    (Houlsby et al. 2011, arXiv 1112.5745); the epistemic part of the uncertainty in Depeweg et al. (2018,
    arXiv 1710.07283).

    Args:
        votes: shape (members, texts, classes), probabilities.
        problem_type: where a text may have several labels, it is the sum of that of each, yes or no.

    Returns:
        Nats, of shape (texts,): 0 where all members predict alike, at most log(min(members, classes)), or log(2) a
        label.

    Raises:
        InputError: the votes have another shape or are not probabilities.
    """
    if problem_type == SEVERAL_LABELS:
        return np.asarray(disagreement(as_questions(votes)).reshape(np.shape(votes)[1:]).sum(axis=1))
    checked = _checked(votes)
    information = _entropy(checked.mean(axis=0)) - _entropy(checked).mean(axis=0)
    return np.asarray(np.maximum(information, 0.0))


def accuracy_by_size(
    votes: npt.ArrayLike,
    labels: npt.ArrayLike,
    how: Vote = "probability",
    max_subsets: int = 200,
    seed: int = 0,
) -> list[SizeAccuracy]:
    """Accuracy of a committee of 1, 2, ... all members, averaged over which members those are.

    Args:
        votes: shape (members, texts, classes), probabilities.
        labels: the true classes, integers of shape (texts,).
        how: how the members are pooled; see `vote`.
        max_subsets: all subsets of a size are measured where there are no more than this many; otherwise this
            many distinct ones are drawn.
        seed: of that draw.

    Returns:
        One entry a size, in order of size.

    Raises:
        InputError: the votes have another shape or are not probabilities, the labels do not match them, or
            `max_subsets` is not positive.
    """
    checked, truth = _checked(votes), np.asarray(labels)
    if truth.shape != checked.shape[1:2]:
        raise InputError(f"Labels of shape {truth.shape} do not match votes of shape {checked.shape}; give one a text.")
    if max_subsets < 1:
        raise InputError(f"max_subsets is {max_subsets}; it must be at least 1.")
    # The softmax keeps the order of the classes, so subsets can be compared by their mean score alone.
    scores = _scores(checked, how)
    result = []
    for size in range(1, len(scores) + 1):
        accuracies = [
            np.mean(scores[subset].mean(axis=0).argmax(axis=-1) == truth)
            for subset in _subsets(len(scores), size, max_subsets, seed)
        ]
        result.append(SizeAccuracy(size, len(accuracies), float(np.mean(accuracies)), float(np.std(accuracies))))
    return result


def _checked(votes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(votes, dtype=np.float64)
    if array.ndim != 3 or not array.size:
        raise InputError(f"Votes have shape {array.shape}; give (members, texts, classes), none empty.")
    # Rows of float16 or int8 models miss 1 by a little; logits miss it by far.
    if not (np.all(array >= 0) and np.allclose(array.sum(axis=-1), 1, atol=1e-2)):
        raise InputError("Votes are not probabilities; give each member's softmax output, which sums to 1.")
    return array


def _scores(votes: npt.NDArray[np.float64], how: Vote) -> npt.NDArray[np.float64]:
    return votes if how == "probability" else _log(votes)


def _log(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # A floor in place of log 0: with -inf, members that rule out every class between them would leave 0/0.
    return np.asarray(np.log(np.maximum(probabilities, _SMALLEST)))


def _entropy(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    logs = np.log(np.maximum(probabilities, _SMALLEST))
    return -np.asarray((probabilities * logs).sum(axis=-1))


def _subsets(members: int, size: int, limit: int, seed: int) -> Iterator[list[int]]:
    if comb(members, size) <= limit:
        yield from map(list, combinations(range(members), size))
        return
    generator = numpy_generator(seed, "committee subsets", size)
    drawn: set[tuple[int, ...]] = set()
    while len(drawn) < limit:
        subset = sorted(generator.choice(members, size, replace=False).tolist())
        if tuple(subset) not in drawn:
            drawn.add(tuple(subset))
            yield subset
