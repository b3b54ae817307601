"""Who enters the jobs of `latency.py`, with what they need prepared, and where the numbers go."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rounds import machine
from turns import Contender, contenders

HERE = Path(__file__).parent
RESULTS = Path("runs/benchmarks/latency.json")
PACKAGES = (
    "tokenizers",
    "numpy",
    "onnxruntime",
    "onnx",
    "torch",
    "transformers",
    "scikit-learn",
    "fasttext",
    "model2vec",
)
"""Whose versions are kept with the results."""


@dataclass(frozen=True)
class Entrant:
    """Someone who can be asked.

    Attributes:
        name: for the tables.
        kind: one of `answering.KINDS`.
        files: the name of what it loads, as in `preparing.py`, or a folder that is there.
        trained: so that its accuracy means something.
        task: the only one it can be asked about; None for all.
    """

    name: str
    kind: str
    files: str
    trained: bool = False
    task: str | None = None


REFERENCE = Entrant("tinylm BERT-1, int8", "tinylm", "artefacts/bert-1x1-int8")
"""Others are so many times slower than this one."""

TINYLM = (
    REFERENCE,
    Entrant("tinylm BERT-1, float32", "tinylm", "artefacts/bert-1x1-float32"),
    Entrant("tinylm BERT-1, NumPy", "tinylm", "committees/bert-1x1"),
    Entrant("tinylm eight BERT-1, int8", "tinylm", "artefacts/bert-1x8-int8"),
    Entrant("tinylm eight BERT-1, int4", "tinylm", "artefacts/bert-1x8-int4"),
    Entrant("tinylm eight BERT-1, float32", "tinylm", "artefacts/bert-1x8-float32"),
    Entrant("tinylm four w256, int8", "tinylm", "artefacts/bert-1-w256x4-int8"),
    Entrant("tinylm four w256, float32", "tinylm", "artefacts/bert-1-w256x4-float32"),
    Entrant("tinylm BERT-6, int8", "tinylm", "artefacts/bert-6x1-int8"),
)
TRANSFORMERS = (
    Entrant("transformers BERT-6", "transformers", "checkpoints/bert-6-0@128"),
    Entrant("transformers BERT-1", "transformers", "checkpoints/bert-1-0@128"),
)
ONNX_RUNTIME = (
    Entrant("ONNX Runtime BERT-6, float32", "onnxruntime", "onnx/bert-6-float32"),
    Entrant("ONNX Runtime BERT-6, int8", "onnxruntime", "onnx/bert-6-int8"),
    Entrant("ONNX Runtime BERT-1, int8", "onnxruntime", "onnx/bert-1-int8"),
)
TOKENIZER = Entrant("tokenizer alone", "tokenizer", "vocabulary/bert")
"""What all BERTs here begin with; it gives no label."""


TASKS = {"fewrel": "FewRel", "ag_news": "AG News"}
"""Where the texts come from, with their names in the tables."""

TRAINED = tuple(
    Entrant(f"{name}, {title}", kind, f"{kind}/{task}", trained=True, task=task)
    for task, title in TASKS.items()
    for name, kind in (
        ("tf-idf + linear SVM", "tfidf"),
        ("fastText", "fasttext"),
        ("model2vec + regression", "model2vec"),
    )
)
"""What is no BERT, trained on a task."""


@dataclass(frozen=True)
class Setup:
    """What the command line chose.

    Attributes:
        data: the folder of the data sets.
        work: the folder of what is prepared.
        rounds: turns of each contender.
        only: parts of the names of those who take part; all when empty.
        models: folders of trained models, to enter beside the others.
        prepared: names of what was prepared since this program began, which is not done twice.
    """

    data: Path
    work: Path
    rounds: int
    only: Sequence[str]
    models: Sequence[Path]
    prepared: set[str] = field(default_factory=set)

    def named(self) -> tuple[Entrant, ...]:
        """The trained models."""
        return tuple(
            Entrant(f"tinylm {folder}", "tinylm", str(folder.resolve()), trained=True) for folder in self.models
        )

    def choose(self, entrants: Iterable[Entrant]) -> list[Entrant]:
        """Those who take part; the reference always does."""
        chosen = [e for e in entrants if not self.only or any(part in e.name for part in self.only)]
        return chosen if REFERENCE in chosen else [REFERENCE, *chosen]

    def files(self, entrant: Entrant) -> Path:
        """What it loads."""
        return self.work / entrant.files

    def prepare(self, entrants: Iterable[Entrant], *others: str) -> list[Entrant]:
        """Have made what they load, in a process that is gone when the clock starts; those whose files exist."""
        entrants = list(entrants)
        names = {*(e.files for e in entrants if not Path(e.files).is_absolute()), *others} - self.prepared
        if names:
            places = ["--data", str(self.data), "--work", str(self.work)]
            subprocess.run([sys.executable, str(HERE / "preparing.py"), *sorted(names), *places], check=True)
            self.prepared.update(names)
        return [entrant for entrant in entrants if self.files(entrant).is_dir()]

    def start(self, entrants: Iterable[Entrant], threads: int = 1) -> AbstractContextManager[list[Contender]]:
        """A process for each."""
        return contenders({entrant.name: self.command(entrant, threads) for entrant in entrants}, threads)

    def command(self, entrant: Entrant, threads: int = 1) -> list[str]:
        """Arguments to this Python that make an entrant a contender."""
        return [str(HERE / "answering.py"), entrant.kind, str(self.files(entrant)), "--threads", str(threads)]

    def task(self, name: str) -> dict[str, Any]:
        """Texts and labels of a task that was prepared."""
        return json.loads((self.work / "texts" / name / "task.json").read_text(encoding="utf-8"))


def in_turn(field: Sequence[Contender], number: int) -> list[Contender]:
    """The order of a round: the first to go changes."""
    first = number % len(field)
    return [*field[first:], *field[:first]]


def size_mb(folder: Path) -> float:
    """Of all files in a folder, 10^6 bytes; members of a committee are links."""
    walk = os.walk(folder, followlinks=True)
    return sum((Path(place) / name).stat().st_size for place, _, names in walk for name in names) / 1e6


def keep(job: str, content: Any) -> None:
    """Write what a job found into the results, with the machine it comes from; the last run of each job is kept."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    stored = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    stored[job] = {
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": " ".join(sys.argv),
        "load": os.getloadavg()[0],
        "machine": machine(PACKAGES),
        "results": content,
    }
    RESULTS.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
