"""The shape of a model: a frozen dataclass, and the presets by the names people know them by.

The presets without a width in their name have the shapes of *Tiny language models* (arXiv 2507.14871): heads of
64, feed-forward four times the width, 128 positions, the 30,522 pieces of bert-base-uncased. So BERT-1 with 24
heads is 1536 wide, and with 8 heads 512. The `-w` presets are for CPUs: heads of 16,
and a vocabulary of 30,000 pieces.
"""

from dataclasses import dataclass, replace
from typing import Any

from tinylm.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Conv2dFrontEnd:
    """2-D convolutions over (tokens x features) before the first layer, as in the paper.

    Attributes:
        kernels: kernel size of each convolution, square.
        channels: channels of each convolution.
    """

    kernels: tuple[int, ...]
    channels: int

    def __post_init__(self) -> None:
        """Refuse a stack without convolutions, or of empty ones."""
        if not self.kernels or min(*self.kernels, self.channels, 1) < 1:
            raise InputError(
                f"a front-end of kernels {self.kernels} and {self.channels} channels computes nothing; "
                "give at least one kernel and one channel, each at least 1"
            )


@dataclass(frozen=True, kw_only=True)
class DepthwiseFrontEnd:
    """One 1-D convolution over tokens, a filter of `kernel` tokens for a feature: some thousand products a token."""

    kernel: int

    def __post_init__(self) -> None:
        """Refuse an empty filter."""
        if self.kernel < 1:
            raise InputError(f"a filter of {self.kernel} tokens sees nothing; give at least 1")


FrontEnd = Conv2dFrontEnd | DepthwiseFrontEnd


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of a BERT.

    Attributes:
        vocab_size: word pieces.
        hidden_size: width of a token's vector.
        layers: transformer layers.
        heads: attention heads a layer; divides `hidden_size`.
        intermediate_size: width of the feed-forward part.
        positions: longest row, in tokens.
        token_types: rows of the segment embedding (only the first is used; kept for exchange with other BERTs).
        norm_epsilon: added to the variance in layer norm.
        front_end: what stands between the embeddings and the first layer, or None.
    """

    vocab_size: int = 30_522
    hidden_size: int = 768
    layers: int = 1
    heads: int = 12
    intermediate_size: int = 3072
    positions: int = 128
    token_types: int = 2
    norm_epsilon: float = 1e-12
    front_end: FrontEnd | None = None

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        for name in ("vocab_size", "hidden_size", "layers", "heads", "intermediate_size", "token_types"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.hidden_size % self.heads:
            raise InputError(
                f"hidden size {self.hidden_size} cannot be shared by {self.heads} heads; "
                "choose a number of heads that divides it"
            )
        if self.positions < 3:
            raise InputError(f"positions is {self.positions}; it must be at least 3, for [CLS], one token and [SEP]")

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.heads


def _paper(heads: int = 12, layers: int = 1, front_end: FrontEnd | None = None) -> ModelConfig:
    width = 64 * heads
    return ModelConfig(hidden_size=width, heads=heads, layers=layers, intermediate_size=4 * width, front_end=front_end)


def _small(width: int, layers: int = 1, front_end: FrontEnd | None = None) -> ModelConfig:
    return ModelConfig(
        vocab_size=30_000,
        hidden_size=width,
        heads=width // 16,
        layers=layers,
        intermediate_size=4 * width,
        front_end=front_end,
    )


PRESETS: dict[str, ModelConfig] = {
    "bert-6": _paper(layers=6),
    "bert-1": _paper(),
    "bert-1-24h": _paper(heads=24),
    "bert-1-8h": _paper(heads=8),
    "bert-1-conv2-k3-d64": _paper(front_end=Conv2dFrontEnd(kernels=(3, 3), channels=64)),
    "bert-1-conv2-k16-3-d64": _paper(front_end=Conv2dFrontEnd(kernels=(16, 3), channels=64)),
    "bert-1-conv3-k3-d32": _paper(front_end=Conv2dFrontEnd(kernels=(3, 3, 3), channels=32)),
    "bert-1-8h-conv2-k3-d64": _paper(heads=8, front_end=Conv2dFrontEnd(kernels=(3, 3), channels=64)),
    "bert-1-depthwise-k5": _paper(front_end=DepthwiseFrontEnd(kernel=5)),
    "bert-1-w128": _small(128),
    "bert-1-w256": _small(256),
    "bert-1-w512": _small(512),
    "bert-1-w256-depthwise-k5": _small(256, front_end=DepthwiseFrontEnd(kernel=5)),
    "bert-2-w256": _small(256, layers=2),
}

DEFAULT_PRESET = "bert-1-w256"


def preset(name: str, **changes: Any) -> ModelConfig:
    """The shape of that name, with fields changed.

    Raises:
        InputError: no preset has that name.
    """
    if name not in PRESETS:
        raise InputError(f"no preset is called {name!r}; choose one of: {', '.join(PRESETS)}")
    return replace(PRESETS[name], **changes)
