"""The 2-D convolutions over (tokens x features) of the BERT-1 variants of arXiv 2507.14871."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinylm.core.errors import InputError
from tinylm.model.front_ends.base import FoldedFrontEnd, FrontEnd, ModelShape, TensorReader
from tinylm.model.operations import Array, Operations, TokenBatch, Value

if TYPE_CHECKING:
    from torch import Tensor, nn


_BATCH_NORM_EPSILON = 1e-5
"""The default of torch, with which the modules are made."""


@dataclass(frozen=True, kw_only=True)
class Conv2dFrontEnd(FrontEnd):
    """`same`-padded convolutions, and one of kernel 1 back to one channel; batch norm and GELU follow each."""

    kind = "conv2d"

    kernels: tuple[int, ...]
    """Kernel size of each convolution, square."""

    channels: int
    """Channels of each convolution but the last."""

    def __post_init__(self) -> None:
        """Refuse a stack without convolutions, or of empty ones."""
        if not self.kernels or min(*self.kernels, self.channels, 1) < 1:
            raise InputError(
                f"a front-end of kernels {self.kernels} and {self.channels} channels computes nothing; "
                "give at least one kernel and one channel, each at least 1"
            )

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(channels out, channels in, kernel) of each convolution, the last one included."""
        widths = (1, *[self.channels] * len(self.kernels), 1)
        return tuple(zip(widths[1:], widths[:-1], (*self.kernels, 1), strict=True))

    def modules(self, config: ModelShape) -> "dict[str, nn.Module]":
        """The convolutions and their norms."""
        from torch import nn

        from tinylm.model.batch_norm import MaskedBatchNorm2d

        del config
        return {
            "convolutions": nn.ModuleList(
                nn.Conv2d(channels, out, kernel, padding=(kernel - 1) // 2) for out, channels, kernel in self.shapes
            ),
            "norms": nn.ModuleList(MaskedBatchNorm2d(out, eps=_BATCH_NORM_EPSILON) for out, _, _ in self.shapes),
        }

    def forward(self, parts: Mapping[str, Any], x: "Tensor", ids: "Tensor", mask: "Tensor | None") -> "Tensor":
        """GELU(BatchNorm(convolution(image))) for each convolution, with padding at zero before it."""
        from torch.nn import functional

        del ids
        keep = None if mask is None else mask[:, None, :, None]
        image = x[:, None]  # (B, 1, T, H)
        for (_, _, kernel), convolution, norm in zip(self.shapes, parts["convolutions"], parts["norms"], strict=True):
            if keep is not None:
                image = image * keep
            # `same` padding: an even kernel covers one more position after a token than before it.
            more = 1 - kernel % 2
            image = functional.gelu(norm(convolution(functional.pad(image, (0, more, 0, more))), mask))
        return image[:, 0]

    def fold(self, tensors: TensorReader, config: ModelShape) -> FoldedFrontEnd:
        """Each batch norm folded into its convolution."""
        convolutions = tuple(_folded(tensors, index, *shape) for index, shape in enumerate(self.shapes))
        return FoldedConv2d(convolutions, config.hidden_size)

    def describe(self) -> str:
        """Its kernels and channels."""
        sizes = ", ".join(f"{kernel}x{kernel}" for kernel in self.kernels)
        return f"{len(self.kernels)} 2-D convolution(s) of {sizes} in {self.channels} channels"


def _folded(tensors: TensorReader, index: int, out: int, channels: int, kernel: int) -> tuple[Array, Array]:
    weight = tensors.take(f"convolutions.{index}.weight", out, channels, kernel, kernel)
    bias = tensors.take(f"convolutions.{index}.bias", out)
    norm = f"norms.{index}"
    mean, variance = tensors.take(f"{norm}.running_mean", out), tensors.take(f"{norm}.running_var", out)
    tensors.take(f"{norm}.num_batches_tracked")
    scale = tensors.take(f"{norm}.weight", out) / np.sqrt(variance + np.float32(_BATCH_NORM_EPSILON))
    return weight * scale[:, None, None, None], (bias - mean) * scale + tensors.take(f"{norm}.bias", out)


@dataclass(frozen=True)
class FoldedConv2d(FoldedFrontEnd):
    """The arrays of a `Conv2dFrontEnd`."""

    convolutions: tuple[tuple[Array, Array], ...]
    """weight (channels out, channels in, kernel, kernel) and bias (channels out,) of each."""

    width: int
    """Features of a token."""

    @property
    def channels(self) -> int:
        """Those of the widest convolution."""
        return max(len(bias) for _, bias in self.convolutions)

    def apply(self, operations: Operations[Value], x: Value, batch: TokenBatch[Value]) -> Value:
        """See `Conv2dFrontEnd.forward`."""
        real = operations.reshape(operations.real_tokens(batch.mask), 0, 1, -1, 1)  # (B, 1, T, 1)
        image = operations.reshape(x, 0, 1, -1, self.width)  # (B, 1, T, H)
        for weight, bias in self.convolutions:
            image = operations.gelu(operations.convolve_image(operations.multiply(image, real), weight, bias))
        return operations.reshape(image, 0, -1, self.width)  # (B, T, H)
