"""The runs behind `recipe.py`: committees of a recipe, from scratch or pre-trained, and taught into one member."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from recipe_results import Facts, Results, UnknownResultError, run_name
from tinylm.cli.terminal import TerminalProgress
from tinylm.evaluation.committees import evaluate_committee
from tinylm.model.config import DEFAULT_PRESET
from tinylm.steps import pipeline
from tinylm.text.sources import load_task
from tinylm.text.splits import Task, hold_out
from tinylm.train.member import TRAINING
from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings

RUNS = Path("runs/recipe")
CORPUS = "wikipedia"
TASKS = ("ag_news", "dbpedia_14", "fewrel")
EDITIONS = {"pretraining": 2, "finetuning": 2}
"""To be raised by whoever changes what training makes of the same settings, so that earlier runs are not taken for it.

Pre-training 2: passages of mostly 16 to 32 tokens. Fine-tuning 2: each member holds out a part of its own.
"""
_VALIDATION_PER_LABEL = {"ag_news": 1000, "dbpedia_14": 300}
_SAMPLE = {"ag_news": 1000, "dbpedia_14": 100}
_UNLABELLED_PER_LABEL = {"ag_news": 20_000, "dbpedia_14": 6_000}


@dataclass(frozen=True)
class Recipe:
    """How members are made.

    Attributes:
        preset: their shape.
        pretraining: its budget and seed are set by the run.
        finetuning: its seed is set by the run.
        distillation: likewise.
    """

    preset: str
    pretraining: PretrainSettings
    finetuning: FinetuneSettings = field(default_factory=FinetuneSettings)
    distillation: DistillSettings = field(default_factory=DistillSettings)


RECIPES = {
    "tinylm": Recipe(DEFAULT_PRESET, PretrainSettings()),
    # arXiv 2507.14871: first 128 tokens, 15 % hidden, 5e-5, batches of 32, [CLS] not asked. Shape and fine-tuning are
    # ours, so that the rows differ in pre-training alone.
    "the paper's recipe": Recipe(
        DEFAULT_PRESET,
        PretrainSettings(
            sequences="truncated",
            batch_size=32,
            learning_rate=5e-5,
            dropout=0.1,
            mlm_weight=1.0,
            bow_weight=0.0,
            context_bow_weight=0.0,
            infonce_weight=0.0,
        ),
    ),
}


@dataclass(frozen=True)
class Accuracy:
    """Of each member, of their vote, and of members that were taught by the committee, 0 to 1.

    Attributes:
        tokens: that each member was pre-trained on.
        distilled: of one that was taught; None where it was not asked for, or is not known.
        pupils: of the vote of as many as the committee has, all taught; None likewise.
    """

    members: tuple[float, ...]
    committee: float
    tokens: tuple[int, ...]
    distilled: float | None
    pupils: float | None


@dataclass(frozen=True)
class Bench:
    """Makes committees, unless their results are known, and measures them.

    Attributes:
        data: the folder of the data sets.
        results: what is known.
        members: of a committee.
        test: measure on the test parts in place of validation texts.
    """

    data: Path
    results: Results
    members: int
    test: bool

    def accuracy(
        self, recipe: Recipe, budget: str, task: str, seed: int, *, from_scratch: bool = False, distil: bool = False
    ) -> Accuracy:
        """Of a committee.

        Args:
            recipe: how it is made.
            budget: of pre-training a member.
            task: what it is fine-tuned to.
            seed: of weights, data order and sample.
            from_scratch: keep of the pre-trained members only shape and vocabulary.
            distil: also teach the committee into one member, and into as many as it has.

        Raises:
            UnknownResultError: the committee's result is not known, and nothing shall be run.
        """
        pretraining = replace(recipe.pretraining, budget=budget, seed=seed)
        finetuning = replace(recipe.finetuning, seed=seed)
        distillation = replace(recipe.distillation, seed=seed)
        made = {
            "kind": "from-scratch" if from_scratch else "committee",
            "preset": recipe.preset,
            "pretraining": None if from_scratch else asdict(pretraining),
            "finetuning": asdict(finetuning),
            "editions": {"finetuning": EDITIONS["finetuning"]} if from_scratch else EDITIONS,
            "members": self.members,
            "task": task,
            "test": self.test,
        }
        folder = RUNS / run_name(made)

        def committee() -> Facts:
            base = self._base(recipe.preset, pretraining)
            sample = load_part(task, seed, self.data, test=self.test)
            fine = pipeline.finetune_committee(
                folder, base.members, sample, finetuning, "probability", _progress(), from_scratch=from_scratch
            )
            measured = evaluate_committee(fine, sample.test)
            return {
                "members": measured.members,
                "committee": measured.committee.accuracy,
                "tokens": [] if from_scratch else [_tokens(member) for member in base.members],
            }

        def distilled(members: int) -> float | None:
            def measure() -> Facts:
                if not folder.is_dir():
                    committee()
                return {"accuracy": self._distil(folder, members, distillation, task, seed)}

            taught = {
                **made,
                "kind": "distilled" if members == 1 else "pupils",
                "distillation": asdict(distillation),
                "texts": _UNLABELLED_PER_LABEL.get(task),
            }
            # The committee may be known where its pupils are not.
            with suppress(UnknownResultError):
                return float(self.results.of(taught, measure)["accuracy"])
            return None

        measured = self.results.of(made, committee)
        # All first: the one is among them, and the committee is asked once.
        pupils, pupil = (distilled(self.members), distilled(1)) if distil else (None, None)
        return Accuracy(tuple(measured["members"]), measured["committee"], tuple(measured["tokens"]), pupil, pupils)

    def _base(self, preset: str, settings: PretrainSettings) -> pipeline.Base:
        made = {
            "kind": "base",
            "preset": preset,
            "settings": asdict(settings),
            "edition": EDITIONS["pretraining"],
        }
        return pipeline.pretrain(
            str(self.data / CORPUS),
            output=RUNS / run_name(made),
            members=self.members,
            preset=preset,
            settings=settings,
            resume=True,
            progress=_progress(),
        )

    def _distil(self, committee: Path, members: int, settings: DistillSettings, task: str, seed: int) -> float:
        """Accuracy of a committee taught into some of its members, 0 to 1."""
        folder = committee.with_name(f"{committee.name}-distilled")
        part = load_part(task, seed, self.data, test=self.test)
        texts = _unlabelled(task, seed, self.data, measured=part)
        taught = pipeline.distill(
            committee, texts, output=folder, members=members, settings=settings, resume=True, progress=_progress()
        )
        return float(np.mean(taught.predict_proba(part.test.texts).argmax(1) == part.test.labels))


def _progress() -> TerminalProgress:
    return TerminalProgress(Console(stderr=True))


def _tokens(member: Path) -> int:
    return int(json.loads((member / TRAINING).read_text(encoding="utf-8"))["tokens"])


def _unlabelled(task: str, seed: int, data: Path, *, measured: Task) -> list[str]:
    """Training texts of a data set, sampled or not, without those that are measured on; for FewRel its sample."""
    texts = measured.train.texts
    if task in _UNLABELLED_PER_LABEL:
        texts = load_task(task, data_dir=data, seed=seed, train_per_label=_UNLABELLED_PER_LABEL[task]).train.texts
    known = set(measured.test.texts)
    return [text for text in texts if text not in known]


def load_part(task: str, seed: int, data: Path, *, test: bool) -> Task:
    """The paper's sample of a task, with the test part or with validation texts in its place."""
    sample = load_task(task, data_dir=data, seed=seed)
    if test:
        return sample
    if task not in _SAMPLE:
        train, held = hold_out(sample.train, 0.1, seed)
        return replace(sample, train=train, test=held)
    wider = load_task(task, data_dir=data, seed=seed, train_per_label=_SAMPLE[task] + _VALIDATION_PER_LABEL[task]).train
    known = {*sample.train.texts, *sample.test.texts}
    fresh = [index for index, text in enumerate(wider.texts) if text not in known]
    return replace(sample, test=wider.take(np.array(fresh)))
