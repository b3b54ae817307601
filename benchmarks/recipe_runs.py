"""The runs behind `recipe.py`: committees of a recipe, each stored once under the hash of its settings."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from tinylm import pipeline
from tinylm.evaluation import evaluate_committee
from tinylm.model.config import DEFAULT_PRESET
from tinylm.progress import Progress
from tinylm.storage import write_json
from tinylm.terminal import TerminalProgress
from tinylm.text.task import Task, hold_out, load_task
from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings

RUNS = Path("runs/recipe")
CORPUS = "wikipedia"
TASKS = ("ag_news", "dbpedia_14", "fewrel")
_RESULT = "result.json"
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
    finetuning: FinetuneSettings
    distillation: DistillSettings = field(default_factory=DistillSettings)


RECIPES = {
    "tinylm": Recipe(DEFAULT_PRESET, PretrainSettings(), FinetuneSettings()),
    # arXiv 2507.14871: first 128 tokens, 15 % hidden, 5e-5, batches of 32, [CLS] not asked. The shape is ours.
    "the paper's recipe": Recipe(
        DEFAULT_PRESET,
        PretrainSettings(
            rows="first",
            batch_size=32,
            learning_rate=5e-5,
            dropout=0.1,
            masked_tokens=1.0,
            bag_of_words=0.0,
            neighbour_words=0.0,
            contrast=0.0,
        ),
        FinetuneSettings(learning_rate=5e-5, word_dropout=0.0, label_smoothing=0.0, head_rate=1.0),
    ),
}


@dataclass(frozen=True)
class Accuracy:
    """Of each member, of their vote, and of one member that was taught by the committee, 0 to 1.

    `distilled` is None where it was not asked for.
    """

    members: tuple[float, ...]
    committee: float
    distilled: float | None


def accuracies(
    recipe: Recipe,
    budget: str,
    task: str,
    seed: int,
    members: int,
    data: Path,
    *,
    test: bool,
    from_scratch: bool = False,
    distil: bool = False,
) -> Accuracy:
    """Make a committee, or find it, and measure it.

    Args:
        recipe: how.
        budget: of pre-training a member.
        task: what it is fine-tuned to.
        seed: of weights, data order and sample.
        members: how many.
        data: the folder of the data sets.
        test: measure on the test part in place of validation texts.
        from_scratch: keep of the pre-trained members only shape and vocabulary.
        distil: also teach the committee into one member.
    """
    progress = TerminalProgress(Console(stderr=True))
    base = _base(recipe, budget, seed, members, data, progress)
    settings = replace(recipe.finetuning, seed=seed)
    facts = {
        "kind": "committee",
        "base": base.folder.name,
        "from_scratch": from_scratch,
        "task": task,
        "settings": asdict(settings),
        "members": members,
        "test": test,
    }
    folder = run_folder(facts)
    if not (folder / _RESULT).is_file():
        learnt = load_part(task, seed, data, test=test)
        committee = pipeline.finetune_committee(
            folder, base.members, learnt, settings, "probability", progress, from_scratch=from_scratch
        )
        measured = evaluate_committee(committee, learnt.test)
        result = {**facts, "accuracies": measured.members, "committee": measured.committee.accuracy}
        write_json(folder / _RESULT, result)
    result = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    distilled = None
    if distil:
        distilled = _distilled(folder, replace(recipe.distillation, seed=seed), task, seed, data, progress, test=test)
    return Accuracy(tuple(result["accuracies"]), result["committee"], distilled)


def _distilled(
    committee: Path, settings: DistillSettings, task: str, seed: int, data: Path, progress: Progress, *, test: bool
) -> float:
    """Accuracy of a committee taught into one member, 0 to 1."""
    facts = {
        "kind": "distilled",
        "committee": committee.name,
        "settings": asdict(settings),
        "texts": _UNLABELLED_PER_LABEL.get(task),
    }
    folder = run_folder(facts)
    if not (folder / _RESULT).is_file():
        part = load_part(task, seed, data, test=test)
        texts = _unlabelled(task, seed, data, measured=part)
        pupil = pipeline.distill(committee, texts, output=folder, settings=settings, resume=True, progress=progress)
        accuracy = float(np.mean(pupil.predict_proba(part.test.texts).argmax(1) == part.test.labels))
        write_json(folder / _RESULT, {**facts, "accuracy": accuracy})
    return float(json.loads((folder / _RESULT).read_text(encoding="utf-8"))["accuracy"])


def _unlabelled(task: str, seed: int, data: Path, *, measured: Task) -> list[str]:
    """Training texts of a data set, sampled or not, without those that are measured on; for FewRel its sample."""
    texts = measured.train.texts
    if task in _UNLABELLED_PER_LABEL:
        texts = load_task(task, data_dir=data, seed=seed, train_per_label=_UNLABELLED_PER_LABEL[task]).train.texts
    known = set(measured.test.texts)
    return [text for text in texts if text not in known]


def run_folder(facts: dict[str, Any]) -> Path:
    """Where a run of these settings is kept."""
    name = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=6).hexdigest()
    return RUNS / f"{facts['kind']}-{name}"


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


def _base(recipe: Recipe, budget: str, seed: int, members: int, data: Path, progress: Progress) -> pipeline.Base:
    settings = replace(recipe.pretraining, budget=budget, seed=seed)
    folder = run_folder({"kind": "base", "preset": recipe.preset, "settings": asdict(settings)})
    return pipeline.pretrain(
        str(data / CORPUS),
        output=folder,
        members=members,
        preset=recipe.preset,
        settings=settings,
        resume=True,
        progress=progress,
    )
