"""A run: one member fine-tuned, pre-trained before or from scratch, with what it predicts."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch

from tinylm.core.progress import Progress
from tinylm.evaluation.metrics import expected_calibration_error
from tinylm.model.checkpoint import load_classifier
from tinylm.model.config import ModelConfig
from tinylm.study.grid import Facts
from tinylm.study.runs.arms import SCRATCH
from tinylm.study.runs.editions import EDITIONS
from tinylm.study.runs.lab import VOTES, Lab, Sample, Text
from tinylm.study.runs.pretrained import MODEL, Pretrained
from tinylm.study.runs.run import Run, name_of
from tinylm.tokens.encoded import EncodedTexts
from tinylm.train.classification import class_logits
from tinylm.train.distributed import join_processes
from tinylm.train.finetune import default_learning_rate, finetune_member
from tinylm.train.settings import FinetuneSettings

_ONE_OF_EACH_LABEL = 1e-9
"""A share so small that fine-tuning holds out one text of each label, which is the least it does."""


@dataclass(frozen=True)
class FromScratch:
    """A shape whose weights are drawn anew."""

    text: Text
    preset: str
    width: int

    def at(self, seed: int, index: int) -> "FromScratch":
        """The same for another seed and member, which are those of fine-tuning."""
        del seed, index
        return self

    def shape(self, lab: Lab) -> ModelConfig:
        """Its shape."""
        return lab.shape(self.preset, self.width, self.text)


Start = Pretrained | FromScratch


@dataclass(frozen=True)
class Candidate:
    """Settings of fine-tuning that a search tries."""

    rate: float = 1.0
    """Learning rate, as a multiple of the default one of the shape."""
    word_dropout: float | None = None
    """By the number of texts when None."""


@dataclass(frozen=True)
class Finetuning:
    """What all arms of a study share in fine-tuning."""

    updates: int | None = None
    """1,000 or so when None, by the number of texts."""
    epochs: float | None = None
    """Passes over the training texts, in place of updates."""
    precision: str = "auto"

    def settings(self, candidate: Candidate, shape: ModelConfig, seed: int) -> FinetuneSettings:
        """The settings of a run; members are all of one kind."""
        return FinetuneSettings(
            steps=self.updates,
            epochs=self.epochs,
            precision=self.precision,  # type: ignore[arg-type]
            seed=seed,
            learning_rate=candidate.rate * default_learning_rate(shape),
            word_dropout=candidate.word_dropout,
            validation_fraction=_ONE_OF_EACH_LABEL,
            bigrams=False,
            characters=False,
            search=False,
            long="truncate",
        )


@dataclass(frozen=True)
class Finetuned(Run):
    """One member, fine-tuned on a sample of a task."""

    start: Start
    sample: Sample
    seed: int
    """Of the sample, and with the index of weights and order."""
    index: int
    finetuning: Finetuning
    candidate: Candidate

    @property
    def title(self) -> str:
        """A phrase for people."""
        start = self.start
        how = (
            f"{start.arm} on {start.subset.title} for {start.length.title}"
            if isinstance(start, Pretrained)
            else SCRATCH
        )
        labels = "" if self.sample.labels is None else f", {self.sample.labels} labels of each class"
        return (
            f"{start.preset} ({how}) fine-tuned to {self.sample.task}{labels}, rate x {self.candidate.rate:g}, "
            f"seed {self.seed}, member {self.index}"
        )

    def needs(self, lab: Lab) -> Sequence[Run]:
        """The pre-trained member."""
        del lab
        return (self.start,) if isinstance(self.start, Pretrained) else ()

    def facts(self, lab: Lab) -> Facts:
        """See `Run.facts`."""
        shape = self.start.shape(lab)
        return {
            "kind": "finetuned",
            "start": name_of(self.start, lab) if isinstance(self.start, Pretrained) else "scratch",
            "shape": repr(shape),
            **lab.text_facts(self.start.text),
            **lab.task_facts(self.sample, self.seed),
            "settings": asdict(self.finetuning.settings(self.candidate, shape, self.seed)),
            "index": self.index,
            "edition": EDITIONS["finetuning"],
        }

    def measure(self, lab: Lab, progress: Progress) -> Facts:
        """Fine-tune, and predict validation and test texts, which stay in `votes.npz`; the weights are not kept.

        Measured are `accuracy`, `validation`, the accuracy on validation texts, `cross_entropy` and
        `validation_cross_entropy` in nats, `calibration_error`, `rate` and `texts`, those it was trained on.
        """
        run_folder = lab.store.folder(name_of(self, lab))
        folder = run_folder / MODEL
        self.train(lab, progress)
        drawn, tokenizer = lab.task(self.sample, self.seed), lab.tokenizer(self.start.text)
        classifier = load_classifier(folder)[0].to(join_processes().device).eval()
        parts = {"test": drawn.task.test, "validation": drawn.validation}
        votes: dict[str, npt.NDArray[np.float32]] = {}
        with torch.inference_mode():
            for name, part in parts.items():
                texts = EncodedTexts(part.texts, tokenizer, classifier.config.positions)
                votes[name] = class_logits(classifier, texts).softmax(1).numpy()
        np.savez(run_folder / VOTES, labels=parts["test"].labels, **votes)  # type: ignore[arg-type]
        shutil.rmtree(folder)
        test, validation = (scores(votes[name], parts[name].labels) for name in parts)
        return {
            **test,
            "validation": validation["accuracy"],
            "validation_cross_entropy": validation["cross_entropy"],
            "rate": self.candidate.rate,
            "texts": len(drawn.task.train) - len(drawn.task.labels),
        }

    def train(self, lab: Lab, progress: Progress) -> None:
        """Fine-tune into `model` of the run's folder, unless it is there."""
        folder = lab.store.folder(name_of(self, lab)) / MODEL
        if folder.is_dir():
            return
        shape = self.start.shape(lab)
        start = lab.store.folder(name_of(self.start, lab)) / MODEL if isinstance(self.start, Pretrained) else shape
        settings = self.finetuning.settings(self.candidate, shape, self.seed)
        task = lab.task(self.sample, self.seed).task
        finetune_member(
            folder, self.index, start, lab.tokenizer(self.start.text), task, settings, join_processes(), progress
        )


def scores(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> dict[str, float]:
    """Accuracy, cross-entropy in nats and calibration error of (texts, classes) for the true classes (texts,)."""
    truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "accuracy": float(np.mean(probabilities.argmax(1) == labels)),
        "cross_entropy": float(-np.log(np.maximum(truth, 1e-12)).mean()),
        "calibration_error": expected_calibration_error(probabilities, labels),
    }
