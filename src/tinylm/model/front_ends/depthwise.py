"""Each feature filtered over neighbouring tokens, added to the token, layer-normed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinylm.core.errors import InputError
from tinylm.model.front_ends.base import FoldedFrontEnd, FrontEnd, ModelShape, TensorReader
from tinylm.model.operations import Array, Norm, Operations, TokenBatch, Value

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class DepthwiseFrontEnd(FrontEnd):
    """One 1-D convolution over tokens, a filter for each feature: `kernel` products for each feature of a token."""

    kind = "depthwise"

    kernel: int
    """Tokens that a filter covers."""

    def __post_init__(self) -> None:
        """Refuse an empty filter."""
        if self.kernel < 1:
            raise InputError(f"a filter of {self.kernel} tokens sees nothing; give at least 1")

    def modules(self, config: ModelShape) -> "dict[str, nn.Module]":
        """The filters and the norm."""
        from torch import nn

        width = config.hidden_size
        return {
            "filter": nn.Conv1d(width, width, self.kernel, padding="same", groups=width),
            "norm": nn.LayerNorm(width, eps=config.norm_epsilon),
        }

    def forward(self, parts: Mapping[str, Any], x: "Tensor", ids: "Tensor", mask: "Tensor | None") -> "Tensor":
        """LayerNorm(x + GELU(filter(x))), with padding at zero."""
        from torch.nn import functional

        del ids
        if mask is not None:
            x = x * mask[:, :, None]
        # The convolution takes (B, H, T).
        filtered = parts["filter"](x.transpose(1, 2)).transpose(1, 2)
        output: Tensor = parts["norm"](x + functional.gelu(filtered))
        return output

    def fold(self, tensors: TensorReader, config: ModelShape) -> FoldedFrontEnd:
        """Nothing to compute in advance."""
        width = config.hidden_size
        return FoldedDepthwise(
            weight=tensors.take("filter.weight", width, 1, self.kernel),
            bias=tensors.take("filter.bias", width),
            norm=tensors.norm("norm", config),
        )

    def describe(self) -> str:
        """Its kernel."""
        return f"a depthwise convolution over {self.kernel} tokens"


@dataclass(frozen=True)
class FoldedDepthwise(FoldedFrontEnd):
    """The arrays of a `DepthwiseFrontEnd`."""

    weight: Array
    """(H, 1, kernel)"""

    bias: Array
    """(H,)"""

    norm: Norm

    def apply(self, operations: Operations[Value], x: Value, batch: TokenBatch[Value]) -> Value:
        """See `DepthwiseFrontEnd.forward`."""
        x = operations.multiply(x, operations.real_tokens(batch.mask))
        filtered = operations.gelu(operations.convolve_features(x, self.weight, self.bias))
        return operations.norm(operations.add(x, filtered), self.norm)
