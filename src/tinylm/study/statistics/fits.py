"""Curves fitted to what falls with a quantity: E + c / K^a, with E what is left when K grows without end."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinylm.core.errors import InputError
from tinylm.study.statistics.intervals import Interval, t_interval


@dataclass(frozen=True)
class PowerLaw:
    """E + c / K^a."""

    limit: float
    """E."""
    scale: float
    """c, of what is left at K = 1."""
    exponent: float
    """a, above 0."""

    def __call__(self, k: float) -> float:
        """Its value at K."""
        return self.limit + self.scale / math.pow(k, self.exponent)


_STEEPEST = 4.0
"""A larger exponent is a step that some points at small K cannot tell from it."""
_EXPONENTS = np.geomspace(0.02, _STEEPEST, 400)


def fit_power_law(k: Sequence[float], values: Sequence[float]) -> PowerLaw:
    """The least squares fit with E and c at least 0, which are linear for each exponent of a fine grid.

    Args:
        k: quantities above 0, such as numbers of members.
        values: what was measured at each, such as errors in per cent.

    Raises:
        InputError: fewer than four different quantities: three fit anything.
    """
    from scipy.optimize import nnls  # noqa: PLC0415

    x, y = np.asarray(k, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if len(np.unique(x)) < 4 or x.min() <= 0:
        raise InputError("a power law needs values at four different quantities above 0; run more levels")
    best, least = PowerLaw(float(y.mean()), 0.0, 1.0), math.inf
    for exponent in _EXPONENTS:
        design = np.stack([np.ones_like(x), x**-exponent], axis=1)
        solution, loss = nnls(design, y)
        if loss < least:
            best, least = PowerLaw(float(solution[0]), float(solution[1]), float(exponent)), float(loss)
    return best


def fit_by_seed(curves: Mapping[int, Mapping[int, float]]) -> tuple[dict[int, PowerLaw], Interval]:
    """A fit a seed, and the interval of their limits over seeds.

    Args:
        curves: by seed, what was measured at each quantity.

    Raises:
        InputError: as `fit_power_law`, or there is no seed.
    """
    fits = {seed: fit_power_law(list(curve), list(curve.values())) for seed, curve in curves.items()}
    return fits, t_interval([fit.limit for fit in fits.values()])
