"""Intervals over seeds: how far a mean of a few runs can be trusted, and a difference of two kinds of run.

A seed draws the sample, the weights and the order of the data, so that two kinds of run on the same seeds are paired:
their difference varies much less than either of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinylm.core.errors import InputError


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % confidence interval."""

    mean: float
    half: float
    """Half of the width of the interval; NaN for a single value, whose spread is unknown."""
    n: int
    """Values that the mean is of."""

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half

    def __str__(self) -> str:
        if math.isnan(self.half):
            return f"{self.mean:.1f} ({self.n})"
        return f"{self.mean:.1f} ± {self.half:.1f} ({self.n})"


def t_interval(values: Sequence[float]) -> Interval:
    """Student's t interval of a mean (Student, 1908), for values that are about normally distributed.

    Args:
        values: one a seed.

    Raises:
        InputError: there is no value.
    """
    from scipy.stats import t  # noqa: PLC0415

    n = len(values)
    if n == 0:
        raise InputError("there is no value to give an interval of; run at least one seed")
    half = math.nan if n == 1 else float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return Interval(float(np.mean(values)), half, n)


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval | None:
    """The t interval of `ours` minus `theirs` over the seeds that both have; None where they share none.

    Args:
        ours: a value for each seed.
        theirs: likewise.
    """
    shared = sorted(ours.keys() & theirs.keys())
    return t_interval([ours[seed] - theirs[seed] for seed in shared]) if shared else None
