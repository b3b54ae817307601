"""Baselines beside the models of the study `latency`: fitted to the same sample, timed in the same way."""

import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinylm.core.progress import Progress
from tinylm.study.baselines.encoders import fit_minilm_regression, fit_model2vec_regression
from tinylm.study.baselines.fast_text import fit_fasttext, predict_fasttext
from tinylm.study.baselines.tfidf import Predictor, fit_tfidf_svm
from tinylm.study.grid import Facts
from tinylm.study.runs.assembled import time_classes
from tinylm.study.runs.lab import Lab, Sample
from tinylm.study.runs.run import Run
from tinylm.text.splits import Task

TFIDF = "tf-idf + linear SVM"


def _fit_tfidf(task: Task, seed: int) -> tuple[Predictor, float]:
    model = fit_tfidf_svm(task.train.texts, task.train.labels.tolist(), seed)
    return lambda texts: np.asarray(model.predict(list(texts))), len(pickle.dumps(model)) / 1e6


def _fit_fasttext(task: Task, seed: int) -> tuple[Predictor, float]:
    model = fit_fasttext(task, seed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.bin"
        model.save_model(str(file))
        megabytes = file.stat().st_size / 1e6
    return lambda texts: predict_fasttext(model, texts), megabytes


BASELINES: dict[str, Callable[[Task, int], tuple[Predictor, float]]] = {
    TFIDF: _fit_tfidf,
    "fastText": _fit_fasttext,
    "MiniLM + regression": lambda task, _: fit_minilm_regression(task),
    "model2vec + regression": lambda task, _: fit_model2vec_regression(task),
}
"""By name: task and seed to a predictor of classes, and the megabytes of its weights."""

_EDITIONS = {"fastText": 3}
"""Of the code of a baseline; 2 of the others."""


@dataclass(frozen=True)
class TimedBaseline(Run):
    """A baseline, fitted to a sample and timed on one thread; `megabytes` are those of its weights."""

    alone = True
    baseline: str
    sample: Sample
    seed: int

    @property
    def title(self) -> str:
        """See `Run`."""
        return f"timing {self.baseline} on {self.sample.task}, seed {self.seed}"

    def facts(self, lab: Lab) -> Facts:
        """See `Run`."""
        edition = _EDITIONS.get(self.baseline, 2)
        return {
            "kind": "timed-baseline",
            "name": self.baseline,
            "edition": edition,
            **lab.task_facts(self.sample, self.seed),
        }

    def measure(self, lab: Lab, progress: Progress) -> Facts:
        """See `assembled.time_classes`."""
        del progress
        task = lab.task(self.sample, self.seed).task
        predict, megabytes = BASELINES[self.baseline](task, self.seed)
        return {**time_classes(predict, task.test), "megabytes": megabytes}
