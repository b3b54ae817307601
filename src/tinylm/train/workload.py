"""What the trainer runs: a model with its batches, its loss and its validation."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tinylm.train.batch import Batch

Terms = dict[str, Tensor]
"""Weighted terms of a loss by the names of their objectives, each summed over a part of a batch."""

Measures = dict[str, float]


class Workload(ABC):
    """A model, its batches, its loss and its validation."""

    name: str
    """Of the stage, for progress."""
    batches_per_epoch: int
    """Updates in one pass over the data."""
    evaluations: int
    """Validations over the whole run, besides the first; 0 validates only at the end."""
    uniform_loss: float
    """Loss of a uniform prediction, in nats times the weight of what is predicted; far above it, training diverged."""
    head_lr_multiplier: float = 1.0
    """Learning rate of what is not the encoder, as a multiple of the encoder's."""

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """What is trained and saved."""

    @property
    def module(self) -> nn.Module:
        """What computes the loss, which several processes wrap: the model, or a module around it."""
        return self.model

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """The whole batch of an update."""

    @abstractmethod
    def loss(self, module: nn.Module, batch: Batch, generator: torch.Generator) -> Terms:
        """The terms whose sum is minimised, each summed over a part of a batch; `module`, possibly wrapped."""

    @abstractmethod
    def validate(self) -> Measures:
        """Measures on held-out data, by name; the first is shown first."""

    def measure_training_data(self) -> Measures:
        """Some of the measures of `validate`, on as much training data; nothing where there are none."""
        return {}

    @abstractmethod
    def sparse_parameters(self) -> Mapping[nn.Parameter, float]:
        """The embeddings whose gradients are sparse, each with its learning rate as a multiple of the encoder's."""
