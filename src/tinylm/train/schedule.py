"""How long training lasts, and the learning rate as a pure function of how far it is."""

import re

from tinylm.core.errors import InputError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(duration: str) -> float:
    """Seconds in a duration such as `90s`, `10m`, `1.5h` or `1h30m`.

    Raises:
        InputError: it is not a duration, or not longer than nothing.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", duration)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != duration or seconds <= 0:
        raise InputError(f"{duration!r} is not a duration; write it as 90s, 10m or 1h30m")
    return seconds


def learning_rate_factor(progress: float, warmup: float) -> float:
    """The share of the peak learning rate: a straight rise over `warmup`, then a straight fall to zero at 1.

    Args:
        progress: how far training is, from 0 to 1.
        warmup: the share of training in which the rate rises.
    """
    if progress < warmup:
        return progress / warmup
    return max(0.0, (1.0 - progress) / (1.0 - warmup))
