"""The weights of a model folder as NumPy arrays, read without torch, by the names they have in our modules."""

import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import safetensors

from tinylm.core.errors import InputError
from tinylm.model.config import ModelConfig
from tinylm.model.layout import CONFIG, POSITION_IDS, WEIGHTS, current_name, hugging_face_name
from tinylm.model.operations import Array, Linear, Norm

_DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64}


class StoredTensors:
    """The arrays of a model folder, each to be taken once; messages have the names that the file has.

    Args:
        folder: a model folder.
        kind: what its arrays make, for messages.

    Raises:
        InputError: it holds no weights, or they cannot be read.
    """

    def __init__(self, folder: Path, kind: str = "SequenceClassifier") -> None:
        self._path, self._kind = folder / WEIGHTS, kind
        self._prefix = ""
        if not self._path.is_file():
            raise InputError(f"{folder} is not a complete model folder: it has no {WEIGHTS}")
        try:
            stored = safetensors.deserialize(self._path.read_bytes())  # type: ignore[no-untyped-call]
        except (safetensors.SafetensorError, OSError) as error:
            raise InputError(f"{self._path} cannot be read: {error}") from error
        self._left = {current_name(name): tensor for name, tensor in stored}

    def within(self, module: str) -> Self:
        """The tensors of a module, by their names in it. What is taken there is taken here."""
        part = copy.copy(self)
        part._prefix = f"{self._prefix}{module}."
        return part

    def take(self, name: str, *shape: int) -> Array:
        """The array of that name and shape, in float32.

        Raises:
            InputError: it is missing or taken, of another shape, or of numbers that are not known here.
        """
        kind, array = self._take(name, shape)
        if kind == "BF16":
            # A bfloat16 is the upper half of a float32.
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(np.float32)

    def take_integers(self, name: str, *shape: int) -> npt.NDArray[np.int64]:
        """The array of that name and shape, of integers.

        Raises:
            InputError: it is missing or taken, of another shape, or not of integers.
        """
        kind, array = self._take(name, shape)
        if kind != "I64":
            raise InputError(f"{self._path}: {hugging_face_name(self._prefix + name)} holds {kind} numbers, not I64")
        return array

    def linear(self, module: str, out: int, into: int) -> Linear:
        """The weight (out, into) and bias (out,) of a linear module."""
        return Linear(self.take(f"{module}.weight", out, into), self.take(f"{module}.bias", out))

    def norm(self, module: str, config: ModelConfig) -> Norm:
        """The weight and bias of a layer norm over the width of the model."""
        weight, bias = (self.take(f"{module}.{part}", config.hidden_size) for part in ("weight", "bias"))
        return Norm(weight, bias, config.norm_epsilon)

    def finish(self) -> None:
        """Refuse what is left over.

        Raises:
            InputError: a tensor was not taken.
        """
        self._left.pop(POSITION_IDS, None)
        if self._left:
            raise self._misfit(f"has a tensor too many, {min(self._left)}")

    def _take(self, name: str, shape: tuple[int, ...]) -> tuple[str, npt.NDArray[Any]]:
        name = hugging_face_name(self._prefix + name)
        if name not in self._left:
            raise self._misfit(f"lacks {name}")
        tensor = self._left.pop(name)
        if tuple(tensor["shape"]) != shape:
            raise InputError(f"{self._path}: {name} has shape {tuple(tensor['shape'])}, but {CONFIG} asks for {shape}")
        kind = tensor["dtype"]
        if kind not in _DTYPES:
            raise InputError(f"{self._path}: {name} holds {kind} numbers; convert the weights to float32")
        return kind, np.frombuffer(tensor["data"], dtype=_DTYPES[kind]).reshape(shape)

    def _misfit(self, what: str) -> InputError:
        return InputError(f"{self._path} does not fit the {self._kind} that its {CONFIG} describes: it {what}")
