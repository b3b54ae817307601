"""The ways of pre-training that studies compare, and how long it lasts."""

import math
from dataclasses import dataclass, replace

import numpy as np

from tinylm.core.errors import InputError
from tinylm.core.seeds import numpy_generator
from tinylm.tokens.sequences import Pairs, Sequences
from tinylm.train.sampler import LengthGroupedSampler
from tinylm.train.settings import PretrainSettings

SCRATCH = "scratch"
"""The arm without pre-training."""

_MLM = PretrainSettings(
    sequences="truncated",
    batch_size=16,
    mlm_weight=1.0,
    bow_weight=0.0,
    context_bow_weight=0.0,
    infonce_weight=0.0,
)

ARMS = {
    # The paper's objective: first 128 tokens, 15 % masked, [CLS] unread. Rate and batch are those of study `rates`.
    "mlm": _MLM,
    # The same with the rate, the batch and the dropout of arXiv 2507.14871.
    "mlm-5e-5": replace(_MLM, learning_rate=5e-5, batch_size=32, dropout=0.1),
    "default": PretrainSettings(),
}

_DRAWS = 32
"""Batches that say how many tokens an update has."""


def arm(name: str) -> PretrainSettings:
    """The settings of an arm.

    Raises:
        InputError: there is no such arm.
    """
    if name not in ARMS:
        raise InputError(f"no arm of pre-training is called {name!r}; choose from {', '.join(ARMS)}")
    return ARMS[name]


@dataclass(frozen=True)
class Length:
    """How long one member is pre-trained; exactly one of the fields is set."""

    tokens: int | None = None
    """Real tokens that it reads, special ones included."""
    epochs: float | None = None
    """Passes over its documents."""
    seconds: float | None = None
    """By the clock."""

    def __post_init__(self) -> None:
        if sum(value is not None for value in vars(self).values()) != 1:
            raise InputError("a length of pre-training has one of tokens, epochs and seconds; set one of them")

    @property
    def title(self) -> str:
        """A phrase for people."""
        if self.tokens is not None:
            return f"{self.tokens:,} tokens"
        return f"{self.epochs:g} passes" if self.epochs is not None else f"{self.seconds:g} s"

    def applied(self, settings: PretrainSettings, data: Sequences | Pairs) -> PretrainSettings:
        """The settings with an end; a number of tokens becomes one of updates."""
        if self.seconds is not None:
            return replace(settings, budget=f"{self.seconds:g}s")
        if self.epochs is not None:
            return replace(settings, epochs=self.epochs)
        assert self.tokens is not None
        return replace(settings, steps=max(1, math.ceil(self.tokens / tokens_per_update(settings, data))))


def tokens_per_update(settings: PretrainSettings, data: Sequences | Pairs) -> float:
    """Mean number of real tokens of an update; that of pairs is estimated from some batches."""
    if not isinstance(data, Pairs):
        return float(data.lengths.mean()) * min(settings.batch_size, len(data))
    sampler = LengthGroupedSampler(np.ones(len(data)), settings.batch_size // 2, settings.seed)
    drawn = (
        data.draw(sampler.batch(step), numpy_generator(settings.seed, "tokens of an update", step))
        for step in range(_DRAWS)
    )
    return float(np.mean([lengths.sum() for _, lengths in drawn]))
