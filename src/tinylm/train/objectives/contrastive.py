"""Telling the neighbouring passage from the others of a batch."""

import torch
from torch import Tensor
from torch.nn import functional

from tinylm.model.heads import MaskedLanguageModel
from tinylm.train.batch import Targets
from tinylm.train.objectives.base import Draw, HiddenStates, Objective, Prepared

_TEMPERATURE = 0.05
"""Of SimCSE (Gao et al., 2021, section 3)."""


class NeighbourContrast(Objective):
    """InfoNCE (van den Oord et al., 2018, equation 4) over the cosines of the [CLS] of neighbouring passages.

    Sequences 2i and 2i + 1 are neighbours: the former choose among the latter, and the latter among the former.
    Negatives come from the part of a batch that a process computes at once, so that gradient accumulation and more
    processes leave fewer.

    Args:
        weight: of the term in the loss.
    """

    name = "infonce"
    needs_pairs = True

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def prepare(self, ids: Tensor, draw: Draw) -> Prepared:
        """Nothing: which sequence is whose neighbour follows from their order."""
        del draw
        return Prepared(ids[:, :0])

    def term(self, model: MaskedLanguageModel, hidden: HiddenStates, targets: Tensor | Targets) -> Tensor:
        """Sum of the cross-entropies of finding each sequence's neighbour."""
        del model, targets
        return contrast_sum(hidden.cls)


def contrast_sum(cls: Tensor) -> Tensor:
    """The sum of the cross-entropies (nats) of finding each sequence's neighbour.

    Args:
        cls: (sequences, width), sequences 2i and 2i + 1 neighbours.
    """
    # In bfloat16 a cosine over 0.05 is off by up to 0.06.
    with torch.autocast(cls.device.type, enabled=False):
        directions = functional.normalize(cls.float(), dim=1)
        similarity = directions[0::2] @ directions[1::2].T / _TEMPERATURE  # (pairs, pairs)
    partners = torch.arange(len(similarity), device=cls.device)
    return functional.cross_entropy(similarity, partners, reduction="sum") + functional.cross_entropy(
        similarity.T, partners, reduction="sum"
    )
