"""Splitting labelled rows by time: the latest ones are the test part, as the texts to come will be."""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.text.row_columns import Time


def latest_rows(
    source: str, times: Sequence[Time], groups: Sequence[Hashable], fraction: float
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Part rows at a moment, so that `fraction` of them, as nearly as can be, are later.

    Rows of one moment stay together. Later rows that share a group with an earlier one are on neither side, so that
    nothing is tested on what was learnt.

    Args:
        source: where the rows come from, for the message.
        times: n of them, all numbers or all comparable moments.
        groups: n keys.
        fraction: of the rows, between 0 and 1.

    Returns:
        (earlier, later), each of shape (n,); True where a row is of that part.

    Raises:
        InputError: all rows are of one moment, or all later ones share a group with an earlier one.
    """
    moments = sorted(set(times))
    rank = {moment: index for index, moment in enumerate(moments)}
    ranks = np.array([rank[time] for time in times])
    if len(moments) < 2:
        raise InputError(f"{source} has rows of one time only, {moments[0]}; leave --time-column out")
    rows_from = np.cumsum(np.bincount(ranks)[::-1])[::-1]  # (moments,): rows of that moment and of later ones
    cut = 1 + int(np.argmin(np.abs(rows_from[1:] - fraction * len(times))))
    earlier, later = ranks < cut, ranks >= cut
    known = {group for group, is_earlier in zip(groups, earlier, strict=True) if is_earlier}
    new = later & np.array([group not in known for group in groups])
    if not new.any():
        raise InputError(
            f"{source} has no row after {moments[cut - 1]} that shares no text or group with an earlier one"
        )
    return earlier, new
