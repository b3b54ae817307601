"""The shape of a model: a frozen dataclass, and the presets by the names people know them by.

The presets without a width in their name have the shapes of *Tiny language models* (arXiv 2507.14871): heads of
64, feed-forward four times the width, 128 positions, the 30,522 pieces of bert-base-uncased. So BERT-1 with 24
heads is 1536 wide, and with 8 heads 512. The `-w` presets are for CPUs: heads of 16,
and a vocabulary of 30,000 pieces.
"""

from dataclasses import dataclass, replace
from typing import Any

from tinylm.core.errors import InputError
from tinylm.model.front_ends.base import NO_FRONT_END, FrontEnd
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of a BERT."""

    vocab_size: int = 30_522
    """Word pieces."""

    hidden_size: int = 768
    """Width of a token's vector."""

    layers: int = 1
    """Transformer layers."""

    heads: int = 12
    """Attention heads of a layer; divides `hidden_size`."""

    intermediate_size: int = 3072
    """Width of the feed-forward part."""

    positions: int = 128
    """Longest sequence, in tokens."""

    token_types: int = 2
    """Rows of the segment embedding; only the first is used, the others are kept for exchange with other BERTs."""

    norm_epsilon: float = 1e-12
    """Added to the variance in layer norm."""

    bigrams: int = 0
    """Pairs of neighbouring tokens that have a vector of their own; see `model/bigrams.py`."""

    front_end: FrontEnd = NO_FRONT_END
    """What stands between the embeddings and the first layer."""

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
        if self.bigrams < 0:
            raise InputError(f"bigrams is {self.bigrams}; it must be at least 0")
        if self.positions < 3:
            raise InputError(f"positions is {self.positions}; it must be at least 3, for [CLS], one token and [SEP]")

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.heads


def _paper(heads: int = 12, layers: int = 1, front_end: FrontEnd = NO_FRONT_END) -> ModelConfig:
    width = 64 * heads
    return ModelConfig(hidden_size=width, heads=heads, layers=layers, intermediate_size=4 * width, front_end=front_end)


def _small(width: int, layers: int = 1, front_end: FrontEnd = NO_FRONT_END) -> ModelConfig:
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
