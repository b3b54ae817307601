"""Cross-entropy over a vocabulary, a few rows at a time, so that the wide float32 rows stay in the cache.

`functional.cross_entropy(logits.float(), targets)` writes the logits as float32, then their log-softmax, its gradient
and the gradient of the logits: five tensors of (reads x vocabulary), 74 MB each for the paper's shapes. Here a block
of rows lives for a moment, and the gradient takes the place of the logits.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_BLOCK = 1 << 20
"""Logits turned into float32 at a time: 4 MB."""


def cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum of the cross-entropies (nats), computed in float32.

    Args:
        logits: (n, vocabulary), of any floating type; overwritten by the backward pass, so of no use after it.
        targets: (n,) ids; on a GPU, rows of id -100 count for nothing.
    """
    if logits.is_cuda:
        return functional.cross_entropy(logits.float(), targets, reduction="sum")
    total: Tensor = _BlockwiseCrossEntropy.apply(logits, targets)  # type: ignore[no-untyped-call]
    return total


class _BlockwiseCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        ctx.save_for_backward(logits, targets)
        total = torch.zeros((), device=logits.device)
        for some, theirs in _blocks(logits, targets):
            total += functional.cross_entropy(some.float(), theirs, reduction="sum")
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        logits, targets = ctx.saved_tensors
        for some, theirs in _blocks(logits, targets):
            chances = some.float().softmax(1)
            chances[torch.arange(len(theirs)), theirs] -= 1.0
            some.copy_(chances.mul_(gradient))
        return logits, None


def _blocks(logits: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    rows = max(1, _BLOCK // logits.shape[1])
    return zip(torch.split(logits, rows), torch.split(targets, rows), strict=True)
