"""Which kinds of member make a committee, chosen by what each predicts of labels that it did not learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

from tinylm.committee.calibration import fit_temperature
from tinylm.committee.voting import Vote

_STANDARD_ERRORS = 2.0
"""By how many a mix has to be better than the default one: the best of 35 is better than it by one of chance alone."""

_FEWEST = 30
"""Labels below which nothing is chosen or calibrated."""

_SMALLEST = 1e-12


@dataclass(frozen=True)
class Mix:
    """Kinds of member, in the order in which members take them."""

    kinds: tuple[int, ...]
    """As many as there are kinds, some of them perhaps twice; committees of more members repeat them."""
    loss: float
    """Cross-entropy of their mean on the held-out labels, in nats."""
    default_loss: float
    """That of the default mix, which each kind is in once."""
    temperature: float
    """At which the mean is calibrated."""

    @property
    def is_default(self) -> bool:
        """Whether each kind is in it once."""
        return len(set(self.kinds)) == len(self.kinds)


def choose_mix(
    predictions: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], members: int, vote: Vote = "probability"
) -> Mix:
    """The mix of the lowest cross-entropy; the default one where that may be chance.

    Args:
        predictions: (kinds, texts, classes) probabilities; no kind learnt these texts.
        labels: (texts,) true classes.
        members: of the committee, which takes the first kinds of the mix; the temperature is for so many.
        vote: how they vote, for the temperature.

    Returns:
        The mix.
    """
    default = tuple(range(len(predictions)))
    if len(labels) < _FEWEST:
        loss = float(_losses(predictions, labels, default).mean())
        return Mix(default, loss, loss, temperature=1.0)
    every = combinations_with_replacement(default, len(default))
    best = min(every, key=lambda kinds: _losses(predictions, labels, kinds).mean())
    gain = _losses(predictions, labels, default) - _losses(predictions, labels, best)
    is_better = gain.mean() > _STANDARD_ERRORS * gain.std(ddof=1) / np.sqrt(len(labels))
    kinds = _ordered(predictions, labels, best) if is_better else default
    voters = np.maximum(predictions[list(kinds[:members])], _SMALLEST)
    logits = np.log(voters.mean(axis=0)) if vote == "probability" else np.log(voters).mean(axis=0)
    return Mix(
        kinds,
        loss=float(_losses(predictions, labels, kinds).mean()),
        default_loss=float(_losses(predictions, labels, default).mean()),
        temperature=fit_temperature(logits, labels),
    )


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
    truth = predictions[list(kinds)][:, np.arange(len(labels)), labels].mean(axis=0, dtype=np.float64)
    return np.asarray(-np.log(np.maximum(truth, _SMALLEST)))
