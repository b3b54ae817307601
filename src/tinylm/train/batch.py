"""What one update is computed from: padded sequences, and the targets of each objective."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor


class Targets(Protocol):
    """Targets of an objective that are more than one tensor."""

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with every tensor that has a row for each sequence changed."""


@dataclass(frozen=True)
class Batch:
    """Sequences of one update.

    The loss of an update is sum(terms) / predictions, in which the term of an objective with targets at masked tokens
    is a sum over those, and that of an objective with a target for each sequence is such a sum times
    predictions / sequences: each term is a mean over what it is about.
    """

    ids: Tensor
    """(sequences, tokens) padded token ids, as the model sees them."""
    mask: Tensor | None
    """(sequences, tokens) true where a token is real; None where all are."""
    predictions: int
    """Masked tokens in the whole batch, over all its parts and processes, or sequences where none is masked."""
    tokens: int
    """Real tokens in the whole batch."""
    targets: Mapping[str, "Tensor | Targets"] = field(default_factory=dict)
    """By the name of the objective; the first axis of each tensor is that of the sequences."""
    masked_positions: Tensor | None = None
    """(sequences, masked) positions whose hidden states are needed besides [CLS]; None where there are none."""
    predictions_per_sequence: float = 1.0
    """`predictions` over the sequences of the whole batch."""
    group: int = 1
    """Sequences that belong together and are side by side."""

    @property
    def groups(self) -> int:
        """How many groups of sequences there are."""
        return len(self.ids) // self.group

    def part(self, index: int, count: int) -> "Batch":
        """Every `count`-th group of sequences from `index`; counts stay those of the whole."""
        return self._each(lambda rows: rows.view(self.groups, self.group, *rows.shape[1:])[index::count].flatten(0, 1))

    def parts(self, count: int) -> "Iterator[Batch]":
        """The batch in `count` parts, or in one a group where it has fewer groups."""
        count = min(count, self.groups)
        return (self.part(index, count) for index in range(count))

    def to(self, device: str) -> "Batch":
        """The batch on a device; the copy of a pinned one is not waited for."""
        return self if device == "cpu" else self._each(lambda rows: rows.to(device, non_blocking=True))

    def pinned(self) -> "Batch":
        """The batch in memory that a GPU copies from by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return replace(
            self,
            ids=change(self.ids),
            mask=None if self.mask is None else change(self.mask),
            masked_positions=None if self.masked_positions is None else change(self.masked_positions),
            targets={
                name: change(targets) if isinstance(targets, Tensor) else targets.each(change)
                for name, targets in self.targets.items()
            },
        )


def pad_mask(ids: Tensor, lengths: np.ndarray) -> Tensor | None:
    """Where tokens are real: (sequences, tokens) bool, or None where no sequence is padded."""
    if int(lengths.min()) == ids.shape[1]:
        return None
    return torch.arange(ids.shape[1]) < torch.from_numpy(lengths)[:, None]
