"""An exported committee on disk: one graph, its vocabularies, and `artefact.json`, which says what they are."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tinylm.committee.files import COMMITTEE, SEARCH, read_committee
from tinylm.committee.voting import Vote, Voting
from tinylm.core.errors import InputError
from tinylm.core.files import write_json
from tinylm.core.problems import ONE_LABEL, ProblemType
from tinylm.core.runs import RUN, names_in
from tinylm.model.layout import CONFIG, SENTENCE_TRANSFORMER_FILES, WEIGHTS
from tinylm.model.ngrams import NGRAMS
from tinylm.tokens.windows import Long

ARTEFACT, GRAPH = "artefact.json", "committee.onnx"

_FORMAT = 1

WeightPrecision = Literal["float32", "int8", "int4"]
"""Of weights. In `int4` embeddings have 8 bits, and matrices 4."""

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
_MEMBER_FILES = (
    CONFIG,
    WEIGHTS,
    *_TOKENIZER_FILES,
    *SENTENCE_TRANSFORMER_FILES,
    "metrics.jsonl",
    "training.json",
)
_ARTEFACT_FILES = (ARTEFACT, GRAPH, RUN, "README.md", *_TOKENIZER_FILES)

MAX_ACCURACY_DROP = 0.5
"""Points of accuracy that rounding the weights may cost."""


@dataclass(frozen=True)
class Artefact:
    """What `artefact.json` says.

    Attributes:
        members: how many vote.
        labels: names of the classes.
        vote: what of their predictions is averaged; the graph has it built in.
        precision: of the weights.
        positions: tokens in a row at most, for each vocabulary.
        batch_tokens: padded tokens that a batch should have at most.
        temperature: of the average, likewise built in.
        ngram_weight: share of the average that a linear n-gram classifier has, likewise built in.
        long: what is done with long texts.
        problem_type: whether a text has one label, or any number; likewise.
        thresholds: of several labels, from which probability on a text has each; not in the graph.
    """

    members: int
    labels: tuple[str, ...]
    vote: Vote
    precision: WeightPrecision
    positions: tuple[int, ...]
    batch_tokens: int
    temperature: float = 1.0
    ngram_weight: float = 0.0
    long: Long = "truncate"
    problem_type: ProblemType = ONE_LABEL
    thresholds: tuple[float, ...] = ()

    @property
    def voting(self) -> Voting:
        """How they vote."""
        return Voting(self.vote, self.temperature, self.ngram_weight, self.problem_type, self.thresholds)


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
            if (
                read.labels
                and read.positions
                and read.members > 0
                and read.batch_tokens > 0
                and read.long in get_args(Long)
            ):
                return read
    except (ValueError, KeyError, TypeError, AttributeError):
        version = None
    what = f"has format {version}, which this tinylm does not know" if version else "does not describe an artefact"
    raise InputError(f"{path} {what}; export the model again")


def require_replaceable(folder: Path, *kinds: str) -> None:
    """Refuse to write a model into a folder where that would remove anything but another model.

    Args:
        folder: where a model is to be written, which replaces the whole folder.
        kinds: files by which a model that may be replaced is known, such as `artefact.json`.

    Raises:
        InputError: it is a file, or holds something other than such a model and its files.
    """
    if not names_in(folder):
        return
    expected = set[str]()
    if COMMITTEE in kinds and (folder / COMMITTEE).is_file():
        members = read_committee(folder).members
        expected = {
            COMMITTEE,
            NGRAMS,
            RUN,
            SEARCH,
            *members,
            *(f"{member}/{file}" for member in members for file in _MEMBER_FILES),
        }
    elif ARTEFACT in kinds and (folder / ARTEFACT).is_file():
        own = vocabulary_folders(Path(), len(read_artefact(folder).positions))
        expected = {*_ARTEFACT_FILES, *(f"{path / file}" for path in own for file in _TOKENIZER_FILES), *map(str, own)}
    others = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    other = next((name for name in others if name not in expected), None)
    if other is not None:
        raise InputError(f"{folder} holds something else ({other}); choose a new folder for the model")


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
