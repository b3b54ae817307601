"""Which tokens are hidden, and what stands in their place: a pure function of ids, rate and generator."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tinylm.model.heads import IGNORED


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How tokens are hidden (Devlin et al., 2019, section 3.1, with a fixed count a row).

    Attributes:
        rate: share of a row's ordinary tokens that are read; at least one is.
        masked: of those, the share shown as [MASK].
        random: the share shown as a random piece. The rest is shown as it is.
    """

    rate: float = 0.15
    masked: float = 0.8
    random: float = 0.1

    @property
    def kept(self) -> float:
        """The share of read tokens shown as they are."""
        return 1.0 - self.masked - self.random


@dataclass(frozen=True)
class MaskedRows:
    """Rows with tokens hidden.

    Attributes:
        inputs: (batch, tokens) ids as the model sees them.
        reads: (batch, reads) hidden positions, rising; 0 where a row has fewer.
        targets: (batch, reads) the ids that stood there; `IGNORED` where a row has fewer.
    """

    inputs: Tensor
    reads: Tensor
    targets: Tensor


def mask_rows(
    ids: Tensor,
    special_ids: Tensor,
    masking: Masking,
    mask_id: int,
    vocab_size: int,
    generator: torch.Generator,
) -> MaskedRows:
    """Hide tokens of each row.

    Args:
        ids: (batch, tokens) token ids.
        special_ids: ids that are never hidden: padding, [CLS], [SEP].
        masking: how many, and what stands in their place.
        mask_id: the id of [MASK].
        vocab_size: random pieces are drawn below it.
        generator: the one source of chance.
    """
    ordinary = ~torch.isin(ids, special_ids)
    available = ordinary.sum(1)
    counts = torch.where(available > 0, (available * masking.rate).round().long().clamp(min=1), 0)
    most = max(1, int(counts.max()))
    chance = torch.rand(ids.shape, generator=generator).masked_fill(~ordinary, -1.0)
    chosen = chance.topk(most, dim=1).indices
    filled = torch.arange(most) < counts[:, None]
    chosen = torch.where(filled, chosen, ids.shape[1]).sort(1).values
    filled = chosen < ids.shape[1]
    reads = chosen.masked_fill(~filled, 0)
    targets = ids.gather(1, reads)

    kind = torch.rand(reads.shape, generator=generator)
    pieces = torch.randint(vocab_size, reads.shape, generator=generator)
    shown = torch.where(kind < masking.masked + masking.random, pieces, targets)
    shown = torch.where(kind < masking.masked, mask_id, shown)
    rows = torch.arange(len(ids))[:, None].expand_as(reads)[filled]
    inputs = ids.clone()
    inputs[rows, reads[filled]] = shown[filled]
    return MaskedRows(inputs, reads, targets.masked_fill(~filled, IGNORED))
