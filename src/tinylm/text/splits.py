"""Labelled texts, and how they are parted: by label in fixed shares, never the same text on both sides."""

import csv
import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinylm.core.files import new_text_file
from tinylm.core.seeds import numpy_generator

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Texts with their labels.

    Attributes:
        texts: n of them.
        labels: shape (n,), int64, positions in `Task.labels`.
    """

    texts: tuple[str, ...]
    labels: Labels

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: npt.NDArray[np.integer]) -> "Examples":
        """Those at `indices`, in that order."""
        return Examples(tuple(self.texts[i] for i in indices), self.labels[indices])


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


def task_fingerprint(labels: Sequence[str], *parts: Examples) -> str:
    """Hash of the label names, texts and labels."""
    digest = hashlib.blake2b(digest_size=16)
    for strings in (labels, *(part.texts for part in parts)):
        digest.update(len(strings).to_bytes(8, "little"))
        for string in strings:
            encoded = string.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "little") + encoded)
    for part in parts:
        digest.update(part.labels.astype("<i8").tobytes())
    return digest.hexdigest()


def hold_out(examples: Examples, fraction: float, seed: int) -> tuple[Examples, Examples]:
    """Part examples into training and validation, stratified.

    Each label gives `fraction` of its rows to validation, at least one, and keeps at least one for
    training. Rows of the same text stay on one side, unless all rows of a label have the same text.

    Args:
        examples: at least two of each label.
        fraction: of the rows, between 0 and 1.
        seed: of the draw.

    Returns:
        (training, validation), each in the order of `examples`.
    """
    held = held_out_rows(examples, fraction, seed)
    return examples.take(np.flatnonzero(~held)), examples.take(np.flatnonzero(held))


def held_out_rows(examples: Examples, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which rows `hold_out` gives to validation: shape (n,)."""
    held = choose_whole_groups(examples.labels, examples.texts, held_out_shares(examples.labels, fraction), seed)
    for label in set(examples.labels.tolist()):
        rows = np.flatnonzero(examples.labels == label)
        if not held[rows].any() and len(rows) > 1:
            held[rows[-1]] = True
    return held


def held_out_shares(labels: Labels, fraction: float) -> dict[int, int]:
    """How many rows of each label `fraction` is: at least one, and never all."""
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
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    by_group = list(members.values())
    room = Counter(shares)
    chosen = np.zeros(len(labels), dtype=bool)
    for index in numpy_generator(seed, "hold-out").permutation(len(by_group)):
        rows = by_group[index]
        wanted = Counter(labels[rows].tolist())
        if wanted <= room:
            room -= wanted
            chosen[rows] = True
    return chosen


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
