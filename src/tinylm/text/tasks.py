"""Labelled rows to a task: its labels, its test part where the source has none, its sample, and notes on them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.core.problems import SEVERAL_LABELS, ProblemType
from tinylm.text.by_time import latest_rows
from tinylm.text.labelled import LabelledRows, label_names
from tinylm.text.rare import Rare, settle_rare
from tinylm.text.splits import (
    Examples,
    Labels,
    Task,
    choose_groups_nearest,
    choose_whole_groups,
    held_out_shares,
    joined_groups,
    sample_per_label,
    task_fingerprint,
)
from tinylm.text.stratify import held_out_of_several

TEST_FRACTION = 0.2
"""Of a source without a test part, stratified."""


def build_task(
    name: str,
    train_rows: LabelledRows,
    test_rows: LabelledRows | None,
    *,
    train_per_label: int | None,
    test_per_label: int | None,
    rare: Rare,
    seed: int,
) -> Task:
    """A task of the rows of its parts; without a test part, one is held out.

    Args:
        name: of the task.
        train_rows: of its training part.
        test_rows: of its test part.
        train_per_label: rows of each label to train on; all when None.
        test_per_label: rows of each label to test on, likewise.
        rare: what becomes of a label with one training row.
        seed: of the split and the sample.

    Raises:
        InputError: a single label, or no label with two training rows, or a label in the test part alone.
    """
    several = train_rows.several or (test_rows is not None and test_rows.several)
    labels = _two_or_more(train_rows, several=several)
    position = {label: index for index, label in enumerate(labels)}
    notes = []
    if several and (train_per_label or test_per_label):
        raise InputError(
            f"{train_rows.source} has several labels a text, and train_per_label and test_per_label draw texts of one; "
            "leave them out"
        )
    if several and rare != "keep":
        raise InputError(f"{train_rows.source} has several labels a text, of which rare ones are kept; leave rare out")
    train = examples_of(train_rows, position, several=several)
    if test_rows is not None:
        require_known(test_rows, position, "no training row has; add training rows or remove it")
        test = examples_of(test_rows, position, several=several)
    elif train_rows.times:
        earlier, later = latest_rows(
            train_rows.source, train_rows.times, train.groups or train_rows.groups, TEST_FRACTION
        )
        train, test = train.take(np.flatnonzero(earlier)), train.take(np.flatnonzero(later))
        left_out = len(train_rows.texts) - len(train) - len(test)
        notes.append(f"{train_rows.source} has no test part: the latest {len(test):,} rows are held out as one.")
        if left_out:
            notes.append(f"{left_out:,} later rows that share a text or group with an earlier one are left out.")
    else:
        held = _held_out(train, train_rows, test_per_label, seed)
        train, test = train.take(np.flatnonzero(~held)), train.take(np.flatnonzero(held))
        what = f"{TEST_FRACTION:.0%} of each label" if test_per_label is None else f"{test_per_label} rows a label"
        both = "text" if train.groups is None else "text or group"
        notes.append(f"{train_rows.source} has no test part: {what} held out as one, no {both} on both sides.")
    if several:
        notes += _rare(labels, train)
        return Task(name, labels, train, test, task_fingerprint(labels, train, test), tuple(notes))
    train = train.take(sample_per_label(train.labels, train_per_label, seed, "train"))
    test = test.take(sample_per_label(test.labels, test_per_label, seed, "test"))
    labels, train, test, settled = settle_rare(train_rows.source, labels, train, test, rare)
    notes += settled
    notes += _shortfalls(labels, train.labels, train_per_label, "training")
    notes += _shortfalls(labels, test.labels, test_per_label or 1, "test")
    return Task(name, labels, train, test, task_fingerprint(labels, train, test), tuple(notes))


def task_of_rows(rows: LabelledRows, name: str) -> Task:
    """A task of rows that are all trained on; it has no test part.

    Raises:
        InputError: a single label, or no label with two rows.
    """
    labels = _two_or_more(rows, several=rows.several)
    position = {label: index for index, label in enumerate(labels)}
    train = examples_of(rows, position, several=rows.several)
    test = examples_of(LabelledRows(rows.source), position, several=rows.several)
    if rows.several:
        notes = _rare(labels, train)
    else:
        labels, train, test, notes = settle_rare(rows.source, labels, train, test, "keep")
    return Task(name, labels, train, test, task_fingerprint(labels, train, test), tuple(notes))


def _held_out(train: Examples, rows: LabelledRows, test_per_label: int | None, seed: int) -> npt.NDArray[np.bool_]:
    """Which rows become the test part: (n,)."""
    if train.problem_type == SEVERAL_LABELS:
        return held_out_of_several(train.labels, train.groups or rows.groups, TEST_FRACTION, seed)
    shares = held_out_shares(train.labels, TEST_FRACTION)
    if test_per_label is not None:
        counts = Counter(train.labels.tolist())
        shares = {label: min(test_per_label, counts[label] // 2) for label in counts}
    if train.groups is None:
        return choose_whole_groups(train.labels, rows.groups, shares, seed)
    return choose_groups_nearest(train.labels, train.groups, shares, seed)


def examples_of(rows: LabelledRows, position: Mapping[str, int], *, several: bool) -> Examples:
    """Rows as examples: `position` numbers the labels; with several labels a text, each has a column of 0 and 1."""
    if several:
        numbers = np.zeros((len(rows.texts), len(position)), dtype=np.int64)
        for row, labels in enumerate(rows.label_sets):
            numbers[row, [position[label] for label in labels]] = 1
    else:
        rows.require_labels()
        numbers = np.array([position[label] for (label,) in rows.label_sets], dtype=np.int64)
    return Examples(
        tuple(rows.texts),
        numbers,
        np.array(rows.weights, dtype=np.float64) if rows.weights else None,
        joined_groups(rows.groups, rows.sources) if rows.sources else None,
    )


def examples_for(rows: LabelledRows, labels: Sequence[str], problem_type: ProblemType) -> Examples:
    """Rows as examples for a model that has labels already.

    Args:
        rows: labelled text.
        labels: of the model.
        problem_type: of the model.

    Raises:
        InputError: a label that the model does not know, or several labels a text where it gives one.
    """
    if rows.several and problem_type != SEVERAL_LABELS:
        raise InputError(f"{rows.source} has several labels a text, and the model gives one; give one label a text")
    position = {label: index for index, label in enumerate(labels)}
    require_known(rows, position, "the model does not know; use the labels it was trained on")
    return examples_of(rows, position, several=problem_type == SEVERAL_LABELS)


def _two_or_more(rows: LabelledRows, *, several: bool) -> tuple[str, ...]:
    """The names of the labels."""
    if not several:
        rows.require_labels()
    labels = label_names(label for labels in rows.label_sets for label in labels)
    if not labels:
        raise InputError(f"{rows.source} has no label in any row; there is nothing to learn")
    if len(labels) == 1:
        raise InputError(f"{rows.source} has one label only, {labels[0]!r}; there is nothing to tell apart")
    return labels


def _rare(labels: tuple[str, ...], train: Examples) -> list[str]:
    """A sentence on labels of which nothing can be held out, or nothing is left to learn from."""
    counts = train.labels.sum(axis=0)
    rare = [f"{label} {count}" for label, count in zip(labels, counts.tolist(), strict=True) if count < 2]
    return (
        [f"Labels with fewer than 2 training rows, of which little can be learnt: {', '.join(rare)}."] if rare else []
    )


def require_known(rows: LabelledRows, position: Mapping[str, int], complaint: str) -> None:
    """Refuse a label that is not in `position`, with its place and the complaint."""
    for labels, place in zip(rows.label_sets, rows.places, strict=True):
        unknown = next((label for label in labels if label not in position), None)
        if unknown is not None:
            raise InputError(f"{place} has the label {unknown!r}, which {complaint}")


def _shortfalls(labels: tuple[str, ...], rows: Labels, per_label: int | None, part: str) -> list[str]:
    counts = np.bincount(rows, minlength=len(labels))
    short = [f"{label} {count}" for label, count in zip(labels, counts, strict=True) if count < (per_label or 0)]
    return [f"Fewer than {per_label} {part} rows: {', '.join(short)}."] if short else []
