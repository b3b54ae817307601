"""Labelled texts, and how they are parted: by label in fixed shares, never the same text on both sides."""

import csv
import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinylm.core.files import new_text_file
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS, ProblemType
from tinylm.core.seeds import numpy_generator
from tinylm.text.stratify import held_out_of_several

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Texts with their labels.

    Attributes:
        texts: n of them.
        labels: int64: shape (n,), positions in `Task.labels`; or, where a text may have several of them or none, shape
            (n, labels), 1 for those that it has and else 0.
        weights: shape (n,), float64, how much each row counts in training; None where all count alike.
        groups: n keys; rows with the same one, and no others, must not be parted by a split. None where the texts
            themselves are the keys.
    """

    texts: tuple[str, ...]
    labels: Labels
    weights: npt.NDArray[np.float64] | None = None
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: npt.NDArray[np.integer]) -> "Examples":
        """Those at `indices`, in that order."""
        return replace(
            self,
            texts=tuple(self.texts[i] for i in indices),
            labels=self.labels[indices],
            weights=None if self.weights is None else self.weights[indices],
            groups=None if self.groups is None else tuple(self.groups[i] for i in indices),
        )

    def with_several_labels(self, count: int) -> "Examples":
        """The same texts, where each may have any number of `count` labels; one label is one of them."""
        if self.problem_type == SEVERAL_LABELS:
            return self
        return replace(self, labels=np.eye(count, dtype=np.int64)[self.labels])

    @property
    def problem_type(self) -> ProblemType:
        """Whether each text has one label, or any number of them."""
        return ONE_LABEL if self.labels.ndim == 1 else SEVERAL_LABELS


def write_examples(file: Path, examples: Examples, labels: Sequence[str]) -> None:
    """Write examples as csv with the columns `text` and `label`; `labels` are the names of the classes."""
    with new_text_file(file) as out:
        rows = ((text, labels[label]) for text, label in zip(examples.texts, examples.labels, strict=True))
        csv.writer(out, lineterminator="\n").writerows([("text", "label"), *rows])


@dataclass(frozen=True)
class Task:
    """Something to be learnt from labelled text.

    Attributes:
        name: where it comes from, for people.
        labels: the label names; `Examples.labels` are positions in it.
        train: to learn from.
        test: to report on; shares no text with `train` where tinylm did the split.
        fingerprint: hash of all of the above: hex digits.
        notes: sentences on how it was made that a reader of results should know.
        source: the fields of the `TaskSource` that read it, with absolute paths, so that it can be read again; None
            where none did.
    """

    name: str
    labels: tuple[str, ...]
    train: Examples
    test: Examples
    fingerprint: str
    notes: tuple[str, ...] = ()
    source: Mapping[str, Any] | None = None

    @property
    def problem_type(self) -> ProblemType:
        """Whether each text has one label, or any number of them."""
        return self.train.problem_type


def with_several_labels(task: Task) -> Task:
    """The same task for a model that gives a text any number of labels, of which each text here has one."""
    train, test = (part.with_several_labels(len(task.labels)) for part in (task.train, task.test))
    return replace(task, train=train, test=test)


def task_fingerprint(labels: Sequence[str], *parts: Examples) -> str:
    """Hash of the label names, texts and labels, and of weights and groups where there are some."""
    digest = hashlib.blake2b(digest_size=16)
    for strings in (labels, *(part.texts for part in parts)):
        digest.update(len(strings).to_bytes(8, "little"))
        for string in strings:
            encoded = string.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "little") + encoded)
    for part in parts:
        digest.update(part.labels.astype("<i8").tobytes())
        if part.weights is not None:
            digest.update(b"weights" + part.weights.astype("<f8").tobytes())
        if part.groups is not None:
            digest.update("\0".join(("groups", *part.groups)).encode("utf-8", "surrogatepass"))
        if part.problem_type == SEVERAL_LABELS:
            digest.update(part.problem_type.encode())
    return digest.hexdigest()


def hold_out(examples: Examples, fraction: float, seed: int) -> tuple[Examples, Examples]:
    """Part examples into training and validation, stratified.

    Each label gives `fraction` of its rows to validation, at least one, and keeps at least one for
    training; that of a label which has no other is not held out. Rows of the same text stay on one side, unless all
    rows of a label have the same text. Where there are groups, they stay on one side whatever their size, so that the
    fractions are met as nearly as whole groups can.

    Args:
        examples: what to part.
        fraction: of the rows, between 0 and 1.
        seed: of the draw.

    Returns:
        (training, validation), each in the order of `examples`.
    """
    held = held_out_rows(examples, fraction, seed)
    return examples.take(np.flatnonzero(~held)), examples.take(np.flatnonzero(held))


def held_out_rows(examples: Examples, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which rows `hold_out` gives to validation: shape (n,)."""
    if examples.problem_type == SEVERAL_LABELS:
        groups = examples.texts if examples.groups is None else examples.groups
        return held_out_of_several(examples.labels, groups, fraction, seed)
    shares = held_out_shares(examples.labels, fraction)
    if examples.groups is not None:
        return choose_groups_nearest(examples.labels, examples.groups, shares, seed)
    held = choose_whole_groups(examples.labels, examples.texts, shares, seed)
    for label in set(examples.labels.tolist()):
        rows = np.flatnonzero(examples.labels == label)
        if not held[rows].any() and len(rows) > 1:
            held[rows[-1]] = True
    return held


def held_out_shares(labels: Labels, fraction: float) -> dict[int, int]:
    """How many rows of each label `fraction` is: at least one, and never all, so none of a label with one row."""
    counts = Counter(labels.tolist())
    return {label: min(max(1, round(fraction * count)), count - 1) for label, count in counts.items()}


def choose_whole_groups(
    labels: Labels, groups: Sequence[Hashable], shares: Mapping[int, int], seed: int
) -> npt.NDArray[np.bool_]:
    """Choose rows so that each label has its share and no group is parted.

    Groups come in a seeded order and are taken while every label in them still has room; groups of one row
    fill what larger ones leave, so the shares are exact wherever a label has enough rows whose group is
    theirs alone.

    Args:
        labels: shape (n,).
        groups: n keys; rows with equal keys stay together.
        shares: rows wanted, by label.
        seed: of the draw.

    Returns:
        Shape (n,), True where a row is chosen.
    """
    by_group = _rows_by_group(groups)
    room = Counter(shares)
    chosen = np.zeros(len(labels), dtype=bool)
    for index in numpy_generator(seed, "hold-out").permutation(len(by_group)):
        rows = by_group[index]
        wanted = Counter(labels[rows].tolist())
        if wanted <= room:
            room -= wanted
            chosen[rows] = True
    return chosen


def choose_groups_nearest(
    labels: Labels, groups: Sequence[Hashable], shares: Mapping[int, int], seed: int
) -> npt.NDArray[np.bool_]:
    """Choose rows so that no group is parted and each label comes as near to its share as whole groups can.

    Groups come in a seeded order and are taken where that brings the counts no further from the shares. A label that
    has nothing by then gets its smallest group that can be spared; every label keeps a row that is not chosen.

    Args:
        labels: shape (n,).
        groups: n keys; rows with equal keys stay together.
        shares: rows wanted, by label.
        seed: of the draw.

    Returns:
        Shape (n,), True where a row is chosen.
    """
    by_group = [(rows, Counter(labels[rows].tolist())) for rows in _rows_by_group(groups)]
    chosen, left, room = np.zeros(len(labels), dtype=bool), Counter(labels.tolist()), Counter(shares)

    def take(rows: list[int], wanted: Counter[int]) -> None:
        chosen[rows] = True
        left.subtract(wanted)
        room.subtract(wanted)

    def can_be_spared(wanted: Counter[int]) -> bool:
        return all(left[label] > count for label, count in wanted.items())

    order = [by_group[index] for index in numpy_generator(seed, "hold-out").permutation(len(by_group))]
    for rows, wanted in order:
        excess = sum(abs(room[label] - count) - abs(room[label]) for label, count in wanted.items())
        if excess <= 0 and can_be_spared(wanted):
            take(rows, wanted)
    for label in sorted(shares):
        if room[label] == shares[label] > 0:
            spare = [(rows, wanted) for rows, wanted in order if wanted[label] and can_be_spared(wanted)]
            if spare:
                take(*min(spare, key=lambda group: len(group[0])))
    return chosen


def joined_groups(*keys: Sequence[Hashable]) -> tuple[str, ...]:
    """Groups of rows that share a key of any kind, or are joined by rows that do: a name for each of n rows.

    Args:
        keys: n of each kind, such as texts and where they come from.
    """
    groups = list(range(len(keys[0])))

    def first(row: int) -> int:
        while groups[row] != row:
            groups[row] = groups[groups[row]]
            row = groups[row]
        return row

    for of_kind in keys:
        seen: dict[Hashable, int] = {}
        for row, key in enumerate(of_kind):
            groups[first(row)] = first(seen.setdefault(key, row))
    return tuple(str(first(row)) for row in range(len(groups)))


def _rows_by_group(groups: Sequence[Hashable]) -> list[list[int]]:
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    return list(members.values())


def sample_per_label(labels: Labels, per_label: int | None, seed: int, purpose: str) -> npt.NDArray[np.int64]:
    """Positions of at most `per_label` rows of each label, drawn by `seed`, in their order; all when None."""
    if per_label is None:
        return np.arange(len(labels))
    kept = []
    for label in sorted(set(labels.tolist())):
        rows = np.flatnonzero(labels == label)
        order = numpy_generator(seed, f"sample-{purpose}", label).permutation(len(rows))
        kept.append(rows[order[:per_label]])
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)
