"""An exported committee on disk: one graph, its vocabularies, and `artefact.json`, which says what they are."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tinylm.committee.voting import Vote
from tinylm.core.errors import InputError
from tinylm.core.files import write_json

ARTEFACT, GRAPH = "artefact.json", "committee.onnx"

_FORMAT = 1

Precision = Literal["float32", "int8", "int4"]
"""Of weights. In `int4` embeddings have 8 bits, and matrices 4."""

MAX_ACCURACY_DROP = 0.5
"""Points of accuracy that rounding the weights may cost."""


@dataclass(frozen=True)
class Artefact:
    """What `artefact.json` says.

    Attributes:
        members: how many vote.
        labels: names of the classes.
        vote: how they vote; the graph has it built in.
        precision: of the weights.
        positions: tokens in a row at most, for each vocabulary.
        batch_tokens: padded tokens that a batch should have at most.
    """

    members: int
    labels: tuple[str, ...]
    vote: Vote
    precision: Precision
    positions: tuple[int, ...]
    batch_tokens: int


def vocabulary_folders(folder: Path, count: int) -> list[Path]:
    """Where the vocabularies of an artefact are: beside the graph, or in a folder each where there are several."""
    return [folder] if count == 1 else [folder / f"vocabulary-{index}" for index in range(count)]


def write_artefact(folder: Path, artefact: Artefact) -> None:
    """Write `artefact.json`."""
    write_json(folder / ARTEFACT, {"format": _FORMAT, **asdict(artefact)})


def read_artefact(folder: Path) -> Artefact:
    """Read `artefact.json`.

    Raises:
        InputError: it is of another version of tinylm, or damaged.
    """
    path = folder / ARTEFACT
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = stored.pop("format")
        if version == _FORMAT:
            read = Artefact(**{name: _tuple(value) for name, value in stored.items()})
            if read.labels and read.positions and read.members > 0 and read.batch_tokens > 0:
                return read
    except (ValueError, KeyError, TypeError, AttributeError):
        version = None
    what = f"has format {version}, which this tinylm does not know" if version else "does not describe an artefact"
    raise InputError(f"{path} {what}; export the model again")


def require_free(folder: Path, *replaceable: str) -> None:
    """Refuse a folder that holds something other than a model which may be replaced.

    Args:
        folder: where a model is to be written.
        replaceable: files by which such a model is known.

    Raises:
        InputError: it holds something else, or is a file.
    """
    if folder.is_file():
        raise InputError(f"{folder} is a file; choose a folder")
    is_free = not folder.exists() or not any(folder.iterdir())
    if not is_free and not any((folder / name).is_file() for name in replaceable):
        raise InputError(f"{folder} holds something else; choose a new folder for the model")


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
