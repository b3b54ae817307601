"""What a front-end is: one class that holds its settings, its training forward, and its folded form for answering.

A front-end stands between the embeddings and the first layer and keeps the shape (batch, tokens, width). Padding is
held at zero before every convolution and kept out of batch statistics, so what a real token becomes does not depend on
how far its sequence was padded. (The code of arXiv 2507.14871 lets padding take part.)

A new kind is a subclass of `FrontEnd`, in any module that is imported before its models are opened; see
tests/extending/test_front_end.py for a whole one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from tinylm.model.operations import Array, Norm, Operations, TokenBatch, Value

if TYPE_CHECKING:
    from torch import Tensor, nn


_KINDS: dict[str, type["FrontEnd"]] = {}


class ModelShape(Protocol):
    """What a front-end needs to know of a `ModelConfig`."""

    @property
    def vocab_size(self) -> int:
        """Pieces of the vocabulary."""

    @property
    def hidden_size(self) -> int:
        """Width of a token's vector."""

    @property
    def positions(self) -> int:
        """Longest sequence, in tokens."""

    @property
    def norm_epsilon(self) -> float:
        """Added to the variance in layer norm."""


class TensorReader(Protocol):
    """Where a front-end takes its arrays from, each once."""

    def take(self, name: str, *shape: int) -> Array:
        """The array of that name, in float32."""

    def norm(self, name: str, config: Any) -> Norm:
        """The layer norm of that name, of the model's width."""


class FoldedFrontEnd(ABC):
    """A front-end as plain arrays, for answering without torch. Subclasses are frozen dataclasses of arrays."""

    @property
    def channels(self) -> int:
        """Copies of a token's vector held at once at most; what an answer needs of memory is a multiple of this."""
        return 1

    @abstractmethod
    def apply(self, operations: Operations[Value], x: Value, batch: TokenBatch[Value]) -> Value:
        """Compute in `operations` what `FrontEnd.forward` computes in evaluation: x (B, T, H) to (B, T, H)."""


class FrontEnd(ABC):
    """Settings of a front-end and what it computes. Subclasses are frozen dataclasses of their settings."""

    kind: ClassVar[str]
    """The value of `type` by which `config.json` names it; a subclass that sets none is stored as its parent."""

    cls_is_constant: ClassVar[bool] = False
    """Whether [CLS] leaves it as the same vector for every text, so that its query can be computed in advance."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make `config.json` open as this class where it names its `kind`."""
        super().__init_subclass__(**kwargs)
        kind = cls.__dict__.get("kind")
        if kind is None:
            return
        other = _KINDS.setdefault(kind, cls)
        # `dataclass(slots=True)` makes a second class of the same name; a notebook's cell is run again.
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__qualname__}: the kind {kind!r} is that of {other.__module__}.{other.__qualname__}")
        _KINDS[kind] = cls

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The front-end of these settings as JSON holds them, where a tuple is a list."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()})

    @abstractmethod
    def modules(self, config: ModelShape) -> "dict[str, nn.Module]":
        """What it trains, by the names under which checkpoints hold it (`encoder.front_end.NAME.weight`).

        Import torch inside this method: a module of front-ends is also read where torch is not installed.
        """

    @abstractmethod
    def forward(self, parts: Mapping[str, Any], x: "Tensor", ids: "Tensor", mask: "Tensor | None") -> "Tensor":
        """Compute with torch.

        Args:
            parts: the modules that `modules` made.
            x: (B, T, H) embeddings, normed.
            ids: (B, T) token ids.
            mask: (B, T) bool, true where a token is real; None where all are.

        Returns:
            (B, T, H).
        """

    @abstractmethod
    def fold(self, tensors: TensorReader, config: ModelShape) -> FoldedFrontEnd:
        """Take its arrays from a model folder.

        Args:
            tensors: those of the front-end, by the names that `modules` gives; each has to be taken.
            config: of the model.

        Raises:
            InputError: an array is missing or of another shape.
        """

    def describe(self) -> str:
        """A phrase for the model card: `a depthwise convolution over 5 tokens`; empty where nothing is computed."""
        return f"a front-end of kind {self.kind}"


def front_end_json(front_end: FrontEnd) -> dict[str, Any] | None:
    """What `config.json` holds of a front-end; None, and no entry, where there is none."""
    if isinstance(front_end, NoFrontEnd):
        return None
    # A dataclass, as every subclass is.
    return {"type": front_end.kind, **asdict(front_end)}  # type: ignore[call-overload]


def read_front_end(stored: Mapping[str, Any] | None) -> FrontEnd:
    """The front-end that an entry of `config.json` describes.

    Raises:
        ValueError: no kind of that name is known here.
        TypeError: the settings are not those of that kind.
        InputError: the settings describe a front-end that cannot be built.
    """
    if not stored:
        return NoFrontEnd()
    settings = dict(stored)
    kind = settings.pop("type", None)
    if kind not in _KINDS:
        raise ValueError(f"its front_end is {kind!r}, and only {', '.join(sorted(_KINDS))} are known")
    return _KINDS[kind].from_json(settings)


@dataclass(frozen=True)
class _Identity(FoldedFrontEnd):
    def apply(self, operations: Operations[Value], x: Value, batch: TokenBatch[Value]) -> Value:
        del operations, batch
        return x


@dataclass(frozen=True)
class NoFrontEnd(FrontEnd):
    """The embeddings go to the first layer as they are."""

    kind = "none"
    cls_is_constant = True

    def modules(self, config: ModelShape) -> "dict[str, nn.Module]":
        """Nothing to train."""
        del config
        return {}

    def forward(self, parts: Mapping[str, Any], x: "Tensor", ids: "Tensor", mask: "Tensor | None") -> "Tensor":
        """Return `x`."""
        del parts, ids, mask
        return x

    def fold(self, tensors: TensorReader, config: ModelShape) -> FoldedFrontEnd:
        """Nothing to fold."""
        del tensors, config
        return _Identity()

    def describe(self) -> str:
        """Empty."""
        return ""


NO_FRONT_END = NoFrontEnd()
