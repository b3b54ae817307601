"""Runs on whole committees: distilled into one member, and exported and timed.

Fine-tuned members are not kept, so that they are made again here.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tinylm.committee.files import member_names, write_committee
from tinylm.committee.voting import PLAIN
from tinylm.core.progress import Progress
from tinylm.exporting.exporter import export_committee
from tinylm.runtime.artefact import WeightPrecision
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.loading import load
from tinylm.steps.distill import distill
from tinylm.study.baselines.tfidf import Predictor
from tinylm.study.grid import Facts
from tinylm.study.runs.editions import EDITIONS
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.pretrained import MODEL
from tinylm.study.runs.run import Run, name_of
from tinylm.study.runs.tuned import Tuned
from tinylm.text.sources import TaskSource
from tinylm.text.splits import Examples, Task, write_examples
from tinylm.train.settings import DistillSettings

_WARM_UP, _CALLS, _BATCH = 20, 200, 1000
"""Texts before timing, texts that are timed one by one, and at most so many that are timed together."""


@dataclass(frozen=True)
class OfCommittee(Run):
    """A run on members that are fine-tuned to one sample of a task."""

    members: tuple[Tuned, ...]

    def needs(self, lab: Lab) -> Sequence[Run]:
        """The members, whose facts are known once their searches are done."""
        del lab
        return self.members

    def member_names(self, lab: Lab) -> list[str]:
        """The names of the members' runs.

        Raises:
            LookupError: a search is not done.
        """
        return [name_of(tuned.found(lab), lab) for tuned in self.members]

    def resolved(self, lab: Lab) -> Run | None:
        """Itself, once its members' searches are done."""
        return self if all(tuned.resolved(lab) is not None for tuned in self.members) else None

    def task(self, lab: Lab) -> Task:
        """What the members learnt."""
        return lab.task(self.members[0].sample, self.members[0].seed).task

    def validation(self, lab: Lab) -> Examples:
        """Texts that are neither trained nor tested on."""
        return lab.task(self.members[0].sample, self.members[0].seed).validation

    def assemble(self, folder: Path, lab: Lab, progress: Progress) -> None:
        """Fine-tune the members, and make them a committee in `folder`."""
        names = member_names(len(self.members))
        for name, tuned in zip(names, self.members, strict=True):
            member = tuned.found(lab)
            member.train(lab, progress)
            made = lab.store.folder(name_of(member, lab)) / MODEL
            shutil.rmtree(folder / name, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(made, folder / name)
        write_committee(folder, names, self.task(lab).labels, PLAIN)


@dataclass(frozen=True)
class Distilled(OfCommittee):
    """A committee distilled into one member, on the task's texts without their labels; measured is its `accuracy`."""

    updates: int | None = None
    """3,000 when None."""
    precision: str = "auto"

    @property
    def title(self) -> str:
        """See `Run`."""
        first = self.members[0]
        return (
            f"distilling {len(self.members)} members of {first.start.preset} on {first.sample.task}, seed {first.seed}"
        )

    def facts(self, lab: Lab) -> Facts:
        """See `Run`."""
        return {
            "kind": "student",
            "members": self.member_names(lab),
            "settings": asdict(self._settings()),
            "edition": EDITIONS["finetuning"],
        }

    def measure(self, lab: Lab, progress: Progress) -> Facts:
        """See `Run`; the texts are all training texts of the task but those for validation."""
        folder, task = lab.store.folder(name_of(self, lab)), self.task(lab)
        if not (folder / "teacher" / "committee.json").is_file():
            self.assemble(folder / "teacher", lab, progress)
        apart = {*self.validation(lab).texts, *task.test.texts}
        texts = [text for text in lab.unlabelled(self.members[0].sample, self.members[0].seed) if text not in apart]
        student = distill(
            folder / "teacher",
            texts,
            output=folder / "student",
            settings=self._settings(),
            resume=True,
            progress=progress,
        )
        right = student.predict_proba(task.test.texts).argmax(1) == task.test.labels
        for made in ("teacher", "student"):
            shutil.rmtree(folder / made)
        return {"accuracy": float(np.mean(right)), "texts": len(texts)}

    def _settings(self) -> DistillSettings:
        seed = self.members[0].seed
        return DistillSettings(steps=self.updates, precision=self.precision, seed=seed)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Timed(OfCommittee):
    """A committee exported and timed on one thread."""

    alone = True
    weights: WeightPrecision = "float32"

    @property
    def title(self) -> str:
        """See `Run`."""
        first = self.members[0]
        shape = f"{len(self.members)} of {first.start.preset}, {self.weights}"
        return f"timing {shape} on {first.sample.task}, seed {first.seed}"

    def facts(self, lab: Lab) -> Facts:
        """See `Run`; the machine is stored beside the result."""
        return {"kind": "timed", "members": self.member_names(lab), "weights": self.weights, "edition": 1}

    def measure(self, lab: Lab, progress: Progress) -> Facts:
        """See `time_classes`, for what is measured, and `megabytes` on disk."""
        folder, task = lab.store.folder(name_of(self, lab)), self.task(lab)
        committee, exported = folder / "committee", folder / "exported"
        self.assemble(committee, lab, progress)
        validation = folder / "validation.csv"
        write_examples(validation, self.validation(lab), task.labels)
        # 8 bits are wanted whatever they cost: their accuracy is what is measured.
        export_committee(
            committee,
            exported,
            precision=self.weights,
            max_accuracy_drop=100.0,
            task=TaskSource(str(validation)),
            progress=progress,
        )
        classifier = load(exported, threads=1)
        found = time_classes(lambda texts: _classes(classifier, texts), task.test)
        size = sum(path.stat().st_size for path in exported.rglob("*") if path.is_file())
        for made in (committee, exported):
            shutil.rmtree(made)
        return {**found, "megabytes": size / 1e6}


def time_classes(predict: Predictor, test: Examples) -> Facts:
    """Accuracy of a classifier, and how quick it is on one thread of this machine.

    Args:
        predict: classes of texts.
        test: texts to classify.

    Returns:
        `accuracy`, 0 to 1; `p50_ms`, the median time of a text by itself; `texts_per_second` of many at once.
    """
    texts, threads = list(test.texts), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for text in texts[:_WARM_UP]:
            predict([text])
        seconds = []
        for text in texts[:_CALLS]:
            began = time.perf_counter()
            predict([text])
            seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        predict(texts[:_BATCH])
        together = time.perf_counter() - began
    finally:
        torch.set_num_threads(threads)
    predicted = np.asarray(predict(texts))
    return {
        "accuracy": float(np.mean(predicted == test.labels)),
        "p50_ms": 1000 * float(np.median(seconds)),
        "texts_per_second": len(texts[:_BATCH]) / together,
    }


def _classes(classifier: Classifier, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.asarray(classifier.predict_proba(list(texts)).argmax(1))
