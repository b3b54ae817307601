"""Which tokens are masked, and what is in their place: a pure function of ids, rate and generator."""

from dataclasses import dataclass

import torch
from torch import Tensor

IGNORED = -100
"""The target of a position that only fills up its sequence; the index that `cross_entropy` ignores."""


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How tokens are masked (Devlin et al., 2019, section 3.1, with a fixed count a sequence)."""

    rate: float = 0.15
    """Share of a sequence's ordinary tokens that are predicted; at least one is."""
    masked: float = 0.8
    """Of those, the share replaced by [MASK]."""
    random: float = 0.1
    """The share replaced by a random piece. The rest stays as it is."""

    @property
    def kept(self) -> float:
        """The share of predicted tokens that stay as they are."""
        return 1.0 - self.masked - self.random


@dataclass(frozen=True)
class MaskedSequences:
    """Sequences with tokens masked."""

    inputs: Tensor
    """(sequences, tokens) ids as the model sees them."""
    positions: Tensor
    """(sequences, masked) masked positions, rising; 0 where a sequence has fewer."""
    targets: Tensor
    """(sequences, masked) the ids at those positions; `IGNORED` where a sequence has fewer."""


def mask_sequences(
    ids: Tensor,
    special_ids: Tensor,
    masking: Masking,
    mask_id: int,
    vocab_size: int,
    generator: torch.Generator,
) -> MaskedSequences:
    """Mask tokens of each sequence.

    Args:
        ids: (sequences, tokens) token ids.
        special_ids: ids that are never masked: padding, [CLS], [SEP].
        masking: how many, and what is in their place.
        mask_id: the id of [MASK].
        vocab_size: random pieces are drawn below it.
        generator: source of the random draws.
    """
    ordinary = ~torch.isin(ids, special_ids)
    available = ordinary.sum(1)
    counts = torch.where(available > 0, (available * masking.rate).round().long().clamp(min=1), 0)
    most = max(1, int(counts.max()))
    scores = torch.rand(ids.shape, generator=generator).masked_fill(~ordinary, -1.0)
    chosen = scores.topk(most, dim=1).indices
    filled = torch.arange(most) < counts[:, None]
    chosen = torch.where(filled, chosen, ids.shape[1]).sort(1).values
    filled = chosen < ids.shape[1]
    positions = chosen.masked_fill(~filled, 0)
    targets = ids.gather(1, positions)

    kind = torch.rand(positions.shape, generator=generator)
    pieces = torch.randint(vocab_size, positions.shape, generator=generator)
    shown = torch.where(kind < masking.masked + masking.random, pieces, targets)
    shown = torch.where(kind < masking.masked, mask_id, shown)
    rows = torch.arange(len(ids))[:, None].expand_as(positions)[filled]
    inputs = ids.clone()
    inputs[rows, positions[filled]] = shown[filled]
    return MaskedSequences(inputs, positions, targets.masked_fill(~filled, IGNORED))


def drop_words(
    ids: Tensor, mask: Tensor | None, special_ids: Tensor, rate: float, generator: torch.Generator
) -> Tensor | None:
    """Drop words from attention, each with a probability of `rate` (Iyyer et al., 2015, section 4, word dropout).

    Args:
        ids: (batch, tokens).
        mask: (batch, tokens) bool, true where a token is real; None where all are.
        special_ids: tokens that stay: [CLS], [SEP].
        rate: 0 drops nothing.
        generator: source of the random draws.

    Returns:
        The mask of what is left.
    """
    if not rate:
        return mask
    kept = torch.rand(ids.shape, generator=generator, device=ids.device) >= rate
    kept |= torch.isin(ids, special_ids.to(ids.device))
    return kept if mask is None else kept & mask
