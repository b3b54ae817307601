"""What an objective of pre-training is: targets made from token ids, and one named term of the loss.

A recipe is a list of objectives. One from outside is a class of this kind, given as
`tinylm.pretrain(objectives=[...])` by a callable that makes it from the statistics of the corpus.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tinylm.core.seeds import torch_generator
from tinylm.model.heads import MaskedLanguageModel
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.batch import Targets
from tinylm.train.masking import MaskedSequences


@dataclass(frozen=True)
class TokenStatistics:
    """What is known of a corpus before training."""

    tokenizer: Tokenizer
    counts: npt.NDArray[np.int64]
    """(vocabulary,) occurrences of each token in the corpus."""

    @cached_property
    def special_ids(self) -> Tensor:
        """Ids that are not text: padding, [CLS], [SEP]."""
        return torch.tensor([self.tokenizer.pad_id, self.tokenizer.cls_id, self.tokenizer.sep_id])

    @cached_property
    def frequencies(self) -> Tensor:
        """(vocabulary,) float64, share of each token in the corpus."""
        return torch.from_numpy(self.counts / max(1, self.counts.sum()))


@dataclass(frozen=True)
class Draw:
    """Where the random draws of one batch come from."""

    seed: int
    step: int
    exact: bool = False
    """Predict among the whole vocabulary and not among a sample of it: for validation."""

    def generator(self, purpose: str) -> torch.Generator:
        """A generator of this batch for one purpose."""
        return torch_generator(self.seed, purpose, self.step)


@dataclass(frozen=True)
class HiddenStates:
    """What the encoder computed for a part of a batch."""

    cls: Tensor
    """(sequences, width) at [CLS]."""
    masked: Tensor | None
    """(sequences, masked, width) at the masked positions; None where there are none."""


@dataclass(frozen=True)
class Prepared:
    """What an objective makes of the sequences of a batch."""

    targets: "Tensor | Targets"
    """The first axis of each tensor is that of the sequences."""
    masked: MaskedSequences | None = None
    """The sequences with tokens masked, where it predicts those; of one objective in a recipe at most."""


class Objective(ABC):
    """One term of the loss."""

    name: str
    """Of its term, in metrics and on the progress line."""
    weight: float = 1.0
    """Of its term in the loss."""
    from_cls: bool = True
    """Whether it predicts from [CLS], once a sequence; else from each masked token."""
    needs_pairs: bool = False
    """Whether sequences 2i and 2i + 1 must be neighbouring passages."""
    dense_embedding_gradient: bool = False
    """Whether it predicts among all tokens, so that every row of the embedding has a gradient."""

    @abstractmethod
    def prepare(self, ids: Tensor, draw: Draw) -> "Prepared":
        """Targets of sequences (sequences, tokens); an objective may also mask them."""

    @abstractmethod
    def term(self, model: MaskedLanguageModel, hidden: HiddenStates, targets: "Tensor | Targets") -> Tensor:
        """The sum of its losses (nats) over the sequences, or over the masked tokens where it has some."""


ObjectiveFactory = Callable[[TokenStatistics], Objective]
