"""Labels with too few rows to hold any out, and what becomes of them."""

from typing import Literal

import numpy as np

from tinylm.core.errors import InputError
from tinylm.text.splits import Examples, held_out_rows

Rare = Literal["keep", "drop", "error"]

_MOST_NAMES = 8
"""Labels that a sentence names at most."""


def settle_rare(
    source: str, labels: tuple[str, ...], train: Examples, test: Examples, rare: Rare
) -> tuple[tuple[str, ...], Examples, Examples, list[str]]:
    """Keep, drop or refuse the labels that have one training row.

    Args:
        source: where the rows come from, for the message.
        labels: names of the labels.
        train: what is left to train on.
        test: the test part, possibly without rows of some labels.
        rare: `keep` learns the row and never holds it out, `drop` leaves the label out, `error` refuses it.

    Returns:
        The labels that stay, their training and test rows, and sentences on what was done.

    Raises:
        InputError: a label is refused, fewer than two are left, or no row can be held out to validate on.
    """
    counts = np.bincount(train.labels, minlength=len(labels))
    few, unlearnt = _named(labels, counts == 1), _named(labels, counts == 0)
    if rare == "error" and counts.min() < 2:
        label = labels[int(counts.argmin())]
        raise InputError(
            f"{source} leaves the label {label!r} {counts.min()} training row(s), too few to train and "
            "validate on; add rows of it, or take --rare keep or drop"
        )
    notes = []
    if unlearnt:
        rows = int((counts[test.labels] == 0).sum())
        notes.append(
            f"warning: labels that no training row has are left out, with their {rows:,} test rows: {unlearnt}"
        )
    if few and rare == "drop":
        notes.append(f"warning: labels with one training row are left out, with their rows: {few}")
    elif few:
        notes.append(f"warning: labels with one training row, which is learnt and never held out: {few}")
    kept = counts >= (2 if rare == "drop" else 1)
    if kept.sum() < 2:
        raise InputError(f"{source} leaves fewer than 2 labels to tell apart; add rows, or take --rare keep")
    if not kept.all():
        labels = tuple(label for label, stays in zip(labels, kept, strict=True) if stays)
        train, test = _renumbered(train, kept), _renumbered(test, kept)
    if not held_out_rows(train, 0.5, 0).any():
        together = "" if train.groups is None else " that is not of one group"
        raise InputError(
            f"{source} leaves no label a second training row{together}, so that none can be held out; add rows"
        )
    return labels, train, test, notes


def _renumbered(examples: Examples, kept: np.ndarray) -> Examples:
    """The examples of the labels that are kept, (labels,) bool, with the numbers that those have then."""
    some = examples.take(np.flatnonzero(kept[examples.labels]))
    some.labels[:] = (np.cumsum(kept) - 1)[some.labels]
    return some


def _named(labels: tuple[str, ...], chosen: np.ndarray) -> str:
    """Some of the labels by name, and how many more there are; nothing where none is chosen, (labels,) bool."""
    names = [label for label, is_chosen in zip(labels, chosen, strict=True) if is_chosen]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
