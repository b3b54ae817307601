"""The subjects of the latency benchmark by name, what they load, and the choices of the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.runner import Subject, running

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
"""Whose versions are stored with the results."""


@dataclass(frozen=True)
class Spec:
    """A subject before it runs."""

    name: str
    """For the tables."""
    kind: str
    """One of `subjects.KINDS`."""
    files: str
    """The name of what it loads, as in `prepare.py`, or the absolute path of a folder."""
    trained: bool = False
    """So that its accuracy means something."""
    task: str | None = None
    """The only task it can be measured on; None for all."""


REFERENCE = Spec("tinylm BERT-1, int8", "tinylm", "artefacts/bert-1x1-int8")
"""Others are so many times slower than this one."""

TINYLM = (
    REFERENCE,
    Spec("tinylm BERT-1, float32", "tinylm", "artefacts/bert-1x1-float32"),
    Spec("tinylm BERT-1, NumPy", "tinylm", "committees/bert-1x1"),
    Spec("tinylm eight BERT-1, int8", "tinylm", "artefacts/bert-1x8-int8"),
    Spec("tinylm eight BERT-1, int4", "tinylm", "artefacts/bert-1x8-int4"),
    Spec("tinylm eight BERT-1, float32", "tinylm", "artefacts/bert-1x8-float32"),
    Spec("tinylm four w256, int8", "tinylm", "artefacts/bert-1-w256x4-int8"),
    Spec("tinylm four w256, float32", "tinylm", "artefacts/bert-1-w256x4-float32"),
    Spec("tinylm BERT-6, int8", "tinylm", "artefacts/bert-6x1-int8"),
)
TRANSFORMERS = (
    Spec("transformers BERT-6", "transformers", "checkpoints/bert-6-0@128"),
    Spec("transformers BERT-1", "transformers", "checkpoints/bert-1-0@128"),
)
ONNX_RUNTIME = (
    Spec("ONNX Runtime BERT-6, float32", "onnxruntime", "onnx/bert-6-float32"),
    Spec("ONNX Runtime BERT-6, int8", "onnxruntime", "onnx/bert-6-int8"),
    Spec("ONNX Runtime BERT-1, int8", "onnxruntime", "onnx/bert-1-int8"),
)
TOKENIZER = Spec("tokenizer alone", "tokenizer", "vocabulary/bert")
"""What all BERTs here begin with; it gives no label."""


TASKS = {"fewrel": "FewRel", "ag_news": "AG News"}
"""Where the texts come from, with their names in the tables."""

TRAINED = tuple(
    Spec(f"{name}, {title}", kind, f"{kind}/{task}", trained=True, task=task)
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
    """What the command line chose."""

    data: Path
    """The folder of the data sets."""
    work: Path
    """The folder of what is prepared."""
    rounds: int
    """Of each subject."""
    only: Sequence[str]
    """Parts of the names of the subjects that are measured; all when empty."""
    models: Sequence[Path]
    """Folders of trained models, measured beside the others."""
    prepared: set[str] = field(default_factory=set)
    """Names of what was prepared since this program began, which is not done twice."""

    def named(self) -> tuple[Spec, ...]:
        """The trained models."""
        return tuple(Spec(f"tinylm {folder}", "tinylm", str(folder.resolve()), trained=True) for folder in self.models)

    def choose(self, specs: Iterable[Spec]) -> list[Spec]:
        """Those that are measured; the reference always is."""
        chosen = [spec for spec in specs if self.wants(spec)]
        return chosen if REFERENCE in chosen else [REFERENCE, *chosen]

    def wants(self, spec: Spec) -> bool:
        """Whether `--only` leaves it in."""
        return not self.only or any(part in spec.name for part in self.only)

    def files(self, spec: Spec) -> Path:
        """What it loads."""
        return self.work / spec.files

    def prepare(self, specs: Iterable[Spec], *others: str) -> list[Spec]:
        """Make what they load, in a process that is gone when the clock starts.

        Returns:
            Those whose files exist.
        """
        specs = list(specs)
        names = {*(spec.files for spec in specs if not Path(spec.files).is_absolute()), *others} - self.prepared
        if names:
            places = ["--data", str(self.data), "--work", str(self.work)]
            subprocess.run([sys.executable, "-m", "benchmarks.latency.prepare", *sorted(names), *places], check=True)
            self.prepared.update(names)
        return [spec for spec in specs if self.files(spec).is_dir()]

    def running(self, specs: Iterable[Spec], threads: int = 1) -> AbstractContextManager[list[Subject]]:
        """A process for each."""
        return running({spec.name: self.command(spec, threads) for spec in specs}, threads)

    def command(self, spec: Spec, threads: int = 1) -> list[str]:
        """Arguments to this Python that make it a subject."""
        module = ("-m", "benchmarks.latency.subjects")
        return [*module, spec.kind, str(self.files(spec)), "--threads", str(threads)]

    def task(self, name: str) -> dict[str, Any]:
        """Texts and labels of a task that was prepared."""
        content: dict[str, Any] = json.loads((self.work / "texts" / name / "task.json").read_text(encoding="utf-8"))
        return content


def size_mb(folder: Path) -> float:
    """Of all files in a folder, 10^6 bytes; members of a committee are links."""
    walk = os.walk(folder, followlinks=True)
    return sum((Path(place) / name).stat().st_size for place, _, names in walk for name in names) / 1e6


def enter(setup: Setup, specs: Sequence[Spec]) -> list[Spec]:
    """Prepare the subjects that are chosen, and the texts of all tasks."""
    return setup.prepare(setup.choose(specs), *(f"texts/{task}" for task in TASKS))


def spec_of(specs: Sequence[Spec], subject: Subject) -> Spec:
    """What a running subject was started from."""
    return next(spec for spec in specs if spec.name == subject.name)


def ratio_text(ratios: Sequence[float]) -> str:
    """Median and range, for a table."""
    return f"{median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g})" if ratios else ""
