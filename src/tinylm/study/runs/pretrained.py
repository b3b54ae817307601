"""A run: one member pre-trained."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from tinylm.core.progress import Progress
from tinylm.model.checkpoint import load_masked_language_model
from tinylm.model.config import ModelConfig
from tinylm.study.grid import Facts
from tinylm.study.runs.arms import Length, arm
from tinylm.study.runs.editions import EDITIONS
from tinylm.study.runs.lab import Lab, Sample, Text
from tinylm.study.runs.run import Run, name_of
from tinylm.study.runs.subsets import Subset, held_out_documents
from tinylm.tokens.sequences import Packed, Pairs, Sequences, Truncated
from tinylm.tokens.token_file import TokenFile
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.distributed import join_processes
from tinylm.train.member import TRAINING
from tinylm.train.objectives.base import TokenStatistics
from tinylm.train.pretrain import default_learning_rate, pretrain_member
from tinylm.train.pretraining import Pretraining
from tinylm.train.settings import PretrainSettings

MODEL = "model"


@dataclass(frozen=True)
class Pretrained(Run):
    """One member, pre-trained on a subset of a corpus."""

    text: Text
    arm: str
    """Its name in `arms.ARMS`."""
    preset: str
    """Its shape at width 768; see `shapes.scaled`."""
    width: int
    length: Length
    seed: int
    """Of the subset, and with the index of weights, order and masks."""
    index: int = 0
    """Which member of a committee."""
    subset: Subset = field(default_factory=Subset)
    learning_rate: float | None = None
    """In place of the arm's, as a multiple of the default one of the shape."""
    batch_size: int | None = None
    """In place of the arm's."""
    precision: str = "auto"

    @property
    def title(self) -> str:
        """A phrase for people."""
        changed = "" if self.learning_rate is None else f" at {self.learning_rate:g} times the default rate"
        batches = "" if self.batch_size is None else f" in batches of {self.batch_size}"
        return (
            f"pre-training {self.preset} by {self.arm}{changed}{batches} on {self.subset.title} "
            f"for {self.length.title}, seed {self.seed}, member {self.index}"
        )

    def at(self, seed: int, index: int) -> "Pretrained":
        """The same for another seed and member."""
        return replace(self, seed=seed, index=index)

    def settings(self, lab: Lab) -> PretrainSettings:
        """How it is trained, without the end."""
        changes: dict[str, Any] = {"seed": self.seed, "precision": self.precision}
        if self.learning_rate is not None:
            changes["learning_rate"] = self.learning_rate * default_learning_rate(self.shape(lab))
        if self.batch_size is not None:
            changes["batch_size"] = self.batch_size
        return replace(arm(self.arm), **changes)

    def shape(self, lab: Lab) -> ModelConfig:
        """Its shape."""
        return lab.shape(self.preset, self.width, self.text)

    def facts(self, lab: Lab) -> Facts:
        """See `Run.facts`."""
        facts: Facts = {
            "kind": "member",
            **lab.text_facts(self.text),
            "subset": asdict(self.subset),
            "settings": asdict(self.settings(lab)),
            "shape": repr(self.shape(lab)),
            "length": asdict(self.length),
            "index": self.index,
            "edition": EDITIONS["pretraining"],
        }
        if self.subset.task is not None:
            facts |= lab.task_facts(Sample(self.subset.task), self.seed)
        return facts

    def tokens(self, lab: Lab) -> TokenFile:
        """The documents that it learns from."""
        name = self.subset.task
        task = None if name is None else lab.task_tokens(name, self.text, self.seed)
        unk_id = lab.tokenizer(self.text).unk_id
        return self.subset.tokens(lab.tokens(self.text), unk_id, task, self.seed)

    def measure(self, lab: Lab, progress: Progress) -> Facts:
        """Pre-train, and measure the loss on documents that are in no subset.

        Measured are `tokens`, `updates`, `seconds`, `loss` in nats, that of `validation_loss` on documents of the
        subset, and `unigram_entropy`, the loss of knowing token frequencies alone.
        """
        folder = lab.store.folder(name_of(self, lab)) / MODEL
        tokenizer, tokens, shape = lab.tokenizer(self.text), self.tokens(lab), self.shape(lab)
        settings = self.settings(lab)
        data = view(settings, tokens, np.arange(len(tokens)), shape.positions)
        settings = self.length.applied(settings, data)
        if not folder.is_dir():
            pretrain_member(folder, self.index, shape, tokens, tokenizer, settings, join_processes(), progress)
        training = json.loads((folder / TRAINING).read_text(encoding="utf-8"))
        kept = ("tokens", "updates", "seconds", "precision", "validation_loss", "unigram_entropy")
        loss = self._held_out_loss(lab, tokenizer, settings)
        return {name: training[name] for name in kept} | {"loss": loss, "documents": len(tokens)}

    def _held_out_loss(self, lab: Lab, tokenizer: Tokenizer, settings: PretrainSettings) -> float:
        """Of the arm's first objective, in nats, with statistics of the whole corpus, so that subsets compare."""
        whole = lab.tokens(self.text)
        model = load_masked_language_model(lab.store.folder(name_of(self, lab)) / MODEL).eval()
        model.to(join_processes().device)
        held_out = view(settings, whole, held_out_documents(whole), model.config.positions)
        statistics = TokenStatistics(tokenizer, whole.counts)
        workload = Pretraining("held-out loss", model, held_out, held_out, statistics, settings, validation_seed=0)
        with torch.inference_mode():
            return workload.validate()["loss"]


def view(settings: PretrainSettings, tokens: TokenFile, documents: "np.ndarray", length: int) -> Sequences | Pairs:
    """Documents as the sequences of an arm; those too short for it are left out."""
    match settings.sequences:
        case "pairs":
            enough = np.diff(tokens.offsets)[documents] >= 3
            return Pairs(tokens, documents[enough], length)
        case "packed":
            return Packed(tokens, documents, length)
        case "truncated":
            return Truncated(tokens, documents, length)
