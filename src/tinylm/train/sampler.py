"""Batches: which rows an update sees, as a pure function of seed and step, and what the loop hands to a model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tinylm.core.seeds import numpy_generator
from tinylm.model.heads import BagOfWordsTargets

_WINDOW = 32
"""Batches in which rows are sorted by length: enough to leave little padding, few enough to stay in random order."""


@dataclass(frozen=True)
class Batch:
    """Rows of one update.

    Attributes:
        ids: (batch, tokens) padded ids.
        mask: (batch, tokens) true where a token is real; None where all are.
        reads: (batch, reads) positions that are read, or None where only [CLS] is.
        targets: (batch, reads) token ids, (batch,) classes, (batch, classes) probabilities, or None.
        weight: terms of the loss in the whole batch, over all its parts and processes.
        tokens: real tokens in the whole batch.
        words: what [CLS] is asked for, or None.
        row_weight: terms of the loss a row, so that a mean over rows counts as much as one over terms.
        group: rows that belong together and stand side by side.
    """

    ids: Tensor
    mask: Tensor | None
    reads: Tensor | None
    targets: Tensor | None
    weight: int
    tokens: int
    words: BagOfWordsTargets | None = None
    row_weight: float = 1.0
    group: int = 1

    @property
    def groups(self) -> int:
        """How many groups of rows there are."""
        return len(self.ids) // self.group

    def part(self, index: int, count: int) -> "Batch":
        """Every `count`-th group of rows from `index`; weights and tokens stay those of the whole."""
        return self._each(lambda rows: rows.view(self.groups, self.group, *rows.shape[1:])[index::count].flatten(0, 1))

    def parts(self, count: int) -> "Iterator[Batch]":
        """The batch in `count` parts, or in one a group where it has fewer groups."""
        count = min(count, self.groups)
        return (self.part(index, count) for index in range(count))

    def to(self, device: str) -> "Batch":
        """The batch on a device."""
        return self if device == "cpu" else self._each(lambda rows: rows.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed: dict[str, Any] = {
            name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        if self.words is not None:
            changed["words"] = replace(self.words, ids=change(self.words.ids), weights=change(self.words.weights))
        return replace(self, **changed)


class LengthGroupedSampler:
    """The order in which rows are seen: shuffled anew each epoch, rows of like length together.

    Args:
        lengths: (rows,) tokens of each row.
        batch_size: rows a batch at most; batches of an epoch differ by one row at most, and none is left out.
        seed: of the run.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._seed = seed
        self._batch_size = batch_size
        self.batches_per_epoch = -(-len(lengths) // batch_size)
        self._epoch = lru_cache(maxsize=1)(self._make_epoch)

    def batch(self, step: int) -> np.ndarray:
        """Indices of the rows that update `step` sees."""
        epoch, position = divmod(step, self.batches_per_epoch)
        return self._epoch(epoch)[position]

    def _make_epoch(self, epoch: int) -> list[np.ndarray]:
        generator = numpy_generator(self._seed, "order", epoch)
        order = generator.permutation(len(self._lengths))
        window = _WINDOW * self._batch_size
        if self._lengths.min() != self._lengths.max():
            order = np.concatenate(
                [
                    part[np.argsort(self._lengths[part], kind="stable")]
                    for part in np.split(order, range(window, len(order), window))
                ]
            )
        batches = np.array_split(order, self.batches_per_epoch)
        return [batches[i] for i in generator.permutation(len(batches))]


def pad_mask(ids: Tensor, lengths: np.ndarray) -> Tensor | None:
    """Where tokens are real: (batch, tokens) bool, or None where no row is padded."""
    if int(lengths.min()) == ids.shape[1]:
        return None
    return torch.arange(ids.shape[1]) < torch.from_numpy(lengths)[:, None]
