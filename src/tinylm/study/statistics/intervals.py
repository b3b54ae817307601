"""Intervals over seeds: how far a mean of a few runs can be trusted, and a difference of two kinds of run.

Where several differences are tested, Holm's correction says which of them are no chance of many tries.

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

    def text(self, digits: int) -> str:
        """Mean, half of the interval and number of values, with so many decimal places."""
        if math.isnan(self.half):
            return f"{self.mean:.{digits}f} ({self.n})"
        return f"{self.mean:.{digits}f} ± {self.half:.{digits}f} ({self.n})"

    def __str__(self) -> str:
        return self.text(1)


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


def p_value(difference: Interval) -> float:
    """That of Student's two-sided t test that the mean is zero; 1 for a single value, 0 where all values are alike."""
    from scipy.stats import t  # noqa: PLC0415

    if math.isnan(difference.half):
        return 1.0
    if difference.half == 0:
        return 0.0 if difference.mean else 1.0
    freedom = difference.n - 1
    standard_error = difference.half / t.ppf(0.975, freedom)
    return float(2 * t.sf(abs(difference.mean) / standard_error, freedom))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for there being several (Holm, 1979), in their order.

    The i-th smallest of m becomes the largest of (m - j + 1) p_j over j <= i, and 1 at most.

    Args:
        p_values: one a test.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> Interval:
    """Spearman's rank correlation with a 95 % interval.

    The interval is symmetric on Fisher's z scale, with the variance 1.06 / (n - 3) of Fieller, Hartley and Pearson
    (1957); the half given here is the longer side of it.

    Args:
        x: n values.
        y: n values.

    Raises:
        InputError: fewer than four pairs, or all values of one side alike.
    """
    from scipy.stats import norm, spearmanr  # noqa: PLC0415

    n = len(x)
    if n < 4 or len(set(x)) < 2 or len(set(y)) < 2:
        raise InputError("a rank correlation needs four pairs, and values that differ; run more levels or seeds")
    correlation = float(spearmanr(x, y).statistic)
    # A perfect correlation of so few pairs has no finite z.
    bounded = float(np.clip(correlation, -1 + 1e-9, 1 - 1e-9))
    reach = float(norm.ppf(0.975)) * math.sqrt(1.06 / (n - 3))
    low, high = (math.tanh(math.atanh(bounded) + side * reach) for side in (-1, 1))
    return Interval(correlation, max(correlation - low, high - correlation), n)
