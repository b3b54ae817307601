"""What a study is: a question, factors with their levels, a run for each combination and seed, and what comes of it.

A study is one short file with one frozen dataclass under `Study`: its fields are what `--set` can change, `factors` and
`run` say what is run, `findings` says what is concluded. It is known by its name once it is in `studies.STUDIES`.
"""

import types
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

from tinylm.core.errors import InputError
from tinylm.study.grid import Facts, Levels
from tinylm.study.reporting.report import Section
from tinylm.study.runs.arms import SCRATCH, Length
from tinylm.study.runs.finetuned import Candidate, Finetuning, FromScratch, Start
from tinylm.study.runs.lab import Lab, Sample, Text
from tinylm.study.runs.pretrained import Pretrained
from tinylm.study.runs.run import Run
from tinylm.study.runs.subsets import Subset
from tinylm.study.runs.tuned import Tuned
from tinylm.study.statistics.results import Results
from tinylm.text.known import lasting

Scale = Literal["smoke", "laptop", "paper"]

_SCALES: dict[Scale, dict[str, Any]] = {
    "smoke": {
        "width": 24,
        "documents": 300,
        "tokens": 8_000,
        "updates": 12,
        "rates": (1.0, 4.0),
        "seeds": (0, 1),
        "validation": 5,
        "test": 20,
        "precision": "float32",
    },
    "laptop": {},
    "paper": {
        "width": 768,
        "documents": 90_000,
        "tokens": None,
        "epochs": 50.0,
        "batch_size": 128,
        "updates": None,
        "finetuning_epochs": 50.0,
    },
}
"""What a scale sets for all studies; a study's own `scales` come on top."""


@dataclass(frozen=True)
class Findings:
    """What came out of a study."""

    answer: str
    """One sentence, with its interval."""
    sections: Sequence[Section]
    """Plots and tables."""
    beside_the_paper: str = ""
    """How it compares with what the paper found."""


@dataclass(frozen=True, kw_only=True)
class Study(ABC):
    """A question; the fields are those that all studies share.

    Raises:
        InputError: a scale or a setting that there is not.
    """

    name: ClassVar[str]
    question: ClassVar[str]
    paper: ClassVar[str] = ""
    """What the paper found, in a sentence."""
    scales: ClassVar[Mapping[Scale, Mapping[str, Any]]] = {}

    corpus: str = "wikipedia"
    """Unlabelled text: a file, a folder, or a name."""
    vocabulary: str | None = "bert-base-uncased"
    """Of word pieces; trained on the corpus when none."""
    tasks: tuple[str, ...] = ("fewrel", "ag_news", "dbpedia_14")
    """Labelled text: files or names."""
    arms: tuple[str, ...] = ("mlm", "default")
    """Ways of pre-training; see `arms.py`."""
    width: int = 144
    """Hidden size of bert-1; all other shapes keep the paper's proportions to it."""
    documents: int | None = None
    """Documents of the pre-training set; all but those held out when none."""
    tokens: int | None = 4_000_000
    """Pre-training of a member, in tokens that it reads."""
    epochs: float | None = None
    """Pre-training of a member in passes, in place of tokens."""
    batch_size: int | None = None
    """Sequences of an update of pre-training; by the arm when none."""
    rates: tuple[float, ...] = (1.0, 3.0)
    """Learning rates of fine-tuning that each arm's search tries, as multiples of the default one."""
    updates: int | None = 500
    """Of fine-tuning; 1,000 or so by the number of texts when none."""
    finetuning_epochs: float | None = None
    """Fine-tuning in passes, in place of updates."""
    validation: int = 50
    """Texts of each label that the search chooses by, or a fifth where there are fewer."""
    test: int | None = None
    """Test texts of each label; the paper's number, or all, when none."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each has samples and members of its own."""
    precision: str = "auto"
    """Of matrix products: auto, float32 or bfloat16."""

    @classmethod
    def at(cls, scale: str, assignments: Sequence[str] = ()) -> Self:
        """The study at a scale, with fields changed.

        Args:
            scale: smoke, laptop or paper.
            assignments: `key=value` each; a value of several has commas between them, and none is no value.
        """
        if scale not in _SCALES:
            raise InputError(f"no scale is called {scale!r}; choose from {', '.join(_SCALES)}")
        values = {**_SCALES[scale], **cls.scales.get(scale, {})}
        for assignment in assignments:
            key, value = cls._assigned(assignment)
            values[key] = value
            # One of two ways to say how long replaces the other.
            for one, other in (("tokens", "epochs"), ("updates", "finetuning_epochs")):
                if key in (one, other) and value is not None:
                    values[other if key == one else one] = None
        return cls(**values)

    def __post_init__(self) -> None:
        if not self.seeds:
            raise InputError("seeds is empty; give at least one")
        _ = self.length

    def settings_line(self) -> str:
        """The fields as `--set` takes them: `width=192 tasks=fewrel,ag_news`."""
        return " ".join(f"{name}={_written(value)}" for name, value in vars(self).items())

    @property
    def text(self) -> Text:
        """Corpus and vocabulary."""
        return Text(lasting(self.corpus), self.vocabulary)

    @property
    def length(self) -> Length:
        """How long a member is pre-trained."""
        return Length(tokens=self.tokens, epochs=self.epochs)

    @property
    def finetuning(self) -> Finetuning:
        """What all arms share."""
        return Finetuning(self.updates, self.finetuning_epochs, self.precision)

    @abstractmethod
    def factors(self) -> Mapping[str, Sequence[Any]]:
        """Names of the factors, and their levels."""

    def includes(self, levels: Levels) -> bool:
        """Whether a combination of levels is run; some make no sense together."""
        del levels
        return True

    @abstractmethod
    def runs(self, levels: Levels, seed: int) -> Sequence[Run]:
        """What is run for a combination and a seed."""

    def measures(self, levels: Levels, seed: int, lab: Lab) -> Iterator[Facts]:
        """Rows of the results, without levels and seed: what was measured of the last run, and its pre-training."""
        last = self.runs(levels, seed)[-1]
        found = lab.measured(last.facts(lab))
        if found is not None:
            yield {**pretraining_facts(last, lab), **found}

    @abstractmethod
    def findings(self, results: Results) -> Findings:
        """What came out."""

    def cells(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Every combination of levels with every seed."""
        factors = self.factors()
        for combination in product(*factors.values()):
            levels = dict(zip(factors, combination, strict=True))
            if self.includes(levels):
                yield from ((levels, seed) for seed in self.seeds)

    def pretrained(self, arm: str, preset: str, seed: int, *, index: int = 0, **changes: Any) -> Pretrained:
        """A member; `changes` are fields of `Pretrained`."""
        given: dict[str, Any] = {
            "length": self.length,
            "subset": Subset(self.documents),
            "batch_size": self.batch_size,
            "precision": self.precision,
        }
        return Pretrained(self.text, arm, preset, self.width, seed=seed, index=index, **given | changes)

    def start(self, arm: str, preset: str, seed: int, *, index: int = 0, **changes: Any) -> Start:
        """A member, or one from scratch where that is the arm."""
        if arm == SCRATCH:
            return FromScratch(self.text, preset, self.width)
        return self.pretrained(arm, preset, seed, index=index, **changes)

    def tuned(self, start: Start, task: str, seed: int, *, index: int = 0, labels: int | None = None) -> Tuned:
        """A member fine-tuned to a task with the settings that its arm's search finds."""
        sample = Sample(task, labels, self.validation, self.test)
        candidates = tuple(Candidate(rate) for rate in self.rates)
        return Tuned(start, sample, seed, index, self.finetuning, candidates, self.seeds[0])

    @classmethod
    def _assigned(cls, assignment: str) -> tuple[str, Any]:
        key, equals, text = assignment.partition("=")
        known = [field.name for field in fields(cls)]
        if not equals:
            raise InputError(f"--set takes key=value, not {assignment!r}; its keys are {', '.join(known)}")
        if key not in known:
            raise InputError(f"the study {cls.name!r} has no {key!r}; it has {', '.join(known)}")
        return key, parse_value(key, get_type_hints(cls)[key], text)


def pretraining_facts(run: Run, lab: Lab) -> Facts:
    """What pre-training took, of a run that starts from a pre-trained member; nothing from scratch."""
    start = getattr(run, "start", run)
    if not isinstance(start, Pretrained):
        return {}
    found = lab.measured(start.facts(lab)) or {}
    return {f"pretraining_{name}": found[name] for name in ("tokens", "updates", "seconds", "loss") if name in found}


def parse_value(key: str, kind: Any, text: str) -> Any:
    """A value as a field's type wants it.

    Args:
        key: name of the field, for the message.
        kind: int, float or str, one of them or None, or a tuple of one of them.
        text: as it was written.

    Raises:
        InputError: it is of another kind.
    """
    if get_origin(kind) in (Union, types.UnionType):
        if text.lower() in ("none", ""):
            return None
        kind = next(inner for inner in get_args(kind) if inner is not type(None))
    if get_origin(kind) is tuple:
        return tuple(parse_value(key, get_args(kind)[0], part.strip()) for part in text.split(",") if part.strip())
    try:
        return kind(text.replace("_", "") if kind is int else text)
    except ValueError as error:
        names = {int: "a whole number", float: "a number"}
        raise InputError(f"{key}={text!r} is not {names.get(kind, kind.__name__)}; give one") from error


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
