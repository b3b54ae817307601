"""The runs of the recipe's study: baselines, committees from scratch or pre-trained, and distilled members.

Each committee is a folder in `RUNS`, named by the hash of its facts, so that an interrupted one is resumed.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from tinylm.core.progress import Progress
from tinylm.evaluation.committees import evaluate_committee
from tinylm.model.config import DEFAULT_PRESET
from tinylm.steps.base import Base
from tinylm.steps.committees import finetune_committee
from tinylm.steps.distill import distill
from tinylm.steps.pretrain import pretrain
from tinylm.study.baselines.encoders import minilm_finetuned, minilm_regression, model2vec_regression
from tinylm.study.baselines.fast_text import corpus_vectors, fasttext_classes
from tinylm.study.baselines.tfidf import tfidf_svm
from tinylm.study.grid import Facts, Levels, run_name
from tinylm.study.runs.editions import EDITIONS
from tinylm.text.sources import load_task
from tinylm.text.splits import Task, hold_out
from tinylm.train.member import TRAINING
from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings

RUNS = Path("runs/recipe")
CORPUS = "wikipedia"
TASKS = ("ag_news", "dbpedia_14", "fewrel")
_VALIDATION_PER_LABEL = {"ag_news": 1000, "dbpedia_14": 300}
_SAMPLE = {"ag_news": 1000, "dbpedia_14": 100}
_UNLABELLED_PER_LABEL = {"ag_news": 20_000, "dbpedia_14": 6_000}


@dataclass(frozen=True)
class Recipe:
    """How members are made; the study sets the budget and the seeds."""

    preset: str = DEFAULT_PRESET
    pretraining: PretrainSettings = field(default_factory=PretrainSettings)
    finetuning: FinetuneSettings = field(
        default_factory=lambda: FinetuneSettings(bigrams=False, characters=False, search=False, long="truncate")
    )
    """By default all members alike. The texts are short: what stored results read of the few long ones stays."""
    distillation: DistillSettings = field(default_factory=DistillSettings)


RECIPES = {
    "tinylm": Recipe(),
    "members that differ": Recipe(finetuning=FinetuneSettings(characters=False, long="truncate")),
    # arXiv 2507.14871: first 128 tokens, 15 % masked, 5e-5, batches of 32, no [CLS] objective. Shape and fine-tuning
    # are ours, so that the two differ in pre-training alone.
    "the paper's recipe": Recipe(
        pretraining=PretrainSettings(
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

Baseline = Callable[[Task, int, Path], "np.typing.NDArray[np.integer]"]

BASELINES: dict[str, tuple[int, Baseline]] = {
    # Edition 1 dropped English stop words and one-letter words whatever the task.
    "tf-idf + linear SVM": (2, lambda t, s, _: tfidf_svm(t.train.texts, t.train.labels.tolist(), t.test.texts, s)),
    "fastText": (1, lambda task, seed, _: fasttext_classes(task, seed)),
    "fastText, vectors of the same corpus": (
        1,
        lambda task, seed, data: fasttext_classes(task, seed, corpus_vectors(data / CORPUS, RUNS)),
    ),
    "MiniLM embeddings + logistic regression": (1, lambda task, *_: minilm_regression(task)),
    "MiniLM, fine-tuned": (1, lambda task, seed, _: minilm_finetuned(task, seed)),
    "model2vec of MiniLM + logistic regression": (1, lambda task, *_: model2vec_regression(task)),
}
"""Edition of each baseline, and what it predicts of the test part, given task, seed and the folder of the data sets."""


@dataclass(frozen=True)
class RecipeRuns:
    """Makes what the study measures. Levels are `baseline`, or `recipe` and `budget`; and `task`."""

    data_dir: Path
    """The folder of the data sets."""
    recipes: dict[str, Recipe]
    members: int
    """Of a committee."""
    test: bool
    """Measure on the test parts in place of validation texts."""
    progress: Progress

    def baseline_facts(self, levels: Levels, seed: int) -> Facts:
        """All that determines a baseline's accuracy."""
        name = levels["baseline"]
        return {"kind": "baseline", "name": name, "edition": BASELINES[name][0], "task": levels["task"], "seed": seed}

    def baseline(self, levels: Levels, seed: int) -> Facts:
        """Accuracy of a baseline, on the test part."""
        task = load_part(levels["task"], seed, self.data_dir, test=True)
        predicted = BASELINES[levels["baseline"]][1](task, seed, self.data_dir)
        return {"accuracy": float(np.mean(predicted == task.test.labels))}

    def facts(self, levels: Levels, seed: int) -> Facts:
        """All that determines a committee; it is from scratch where its budget is None."""
        recipe, budget = self.recipes[levels["recipe"]], levels["budget"]
        scratch = budget is None
        return {
            "kind": "from-scratch" if scratch else "committee",
            "preset": recipe.preset,
            "pretraining": None if scratch else asdict(replace(recipe.pretraining, budget=budget, seed=seed)),
            "finetuning": asdict(replace(recipe.finetuning, seed=seed)),
            "editions": {"finetuning": EDITIONS["finetuning"]} if scratch else EDITIONS,
            "members": self.members,
            "task": levels["task"],
            "test": self.test,
        }

    def committee(self, levels: Levels, seed: int) -> Facts:
        """Accuracy of each member, of the vote and of the members alone in it, and the tokens each was pre-trained on.

        Members from scratch take their shapes and vocabularies from members pre-trained for `shapes_from`.
        """
        recipe, scratch = self.recipes[levels["recipe"]], levels["budget"] is None
        budget = levels["shapes_from"] if scratch else levels["budget"]
        base = self._base(recipe.preset, replace(recipe.pretraining, budget=budget, seed=seed))
        task = load_part(levels["task"], seed, self.data_dir, test=self.test)
        committee = finetune_committee(
            self._folder(levels, seed),
            base.members,
            task,
            replace(recipe.finetuning, seed=seed),
            "probability",
            self.progress,
            from_scratch=scratch,
        )
        measured = evaluate_committee(committee, task.test)
        return {
            "members": measured.members,
            "committee": measured.committee.accuracy,
            "members_alone": measured.members_alone,
            "tokens": [] if scratch else [_tokens(member) for member in base.members],
        }

    def distilled_facts(self, levels: Levels, seed: int) -> Facts:
        """All that determines `levels["distilled"]` members that a committee was distilled into."""
        distillation = replace(self.recipes[levels["recipe"]].distillation, seed=seed)
        return {
            **self.facts(levels, seed),
            "kind": "distilled" if levels["distilled"] == 1 else "distilled-committee",
            "distillation": asdict(distillation),
            "texts": _UNLABELLED_PER_LABEL.get(levels["task"]),
        }

    def distilled(self, levels: Levels, seed: int) -> Facts:
        """Accuracy of the members that a committee was distilled into."""
        committee = self._folder(levels, seed)
        if not committee.is_dir():
            self.committee(levels, seed)
        part = load_part(levels["task"], seed, self.data_dir, test=self.test)
        distilled = distill(
            committee,
            _unlabelled(levels["task"], seed, self.data_dir, measured=part),
            output=committee.with_name(f"{committee.name}-distilled"),
            members=levels["distilled"],
            settings=replace(self.recipes[levels["recipe"]].distillation, seed=seed),
            resume=True,
            progress=self.progress,
        )
        return {"accuracy": float(np.mean(distilled.predict_proba(part.test.texts).argmax(1) == part.test.labels))}

    def _folder(self, levels: Levels, seed: int) -> Path:
        return RUNS / run_name(self.facts(levels, seed))

    def _base(self, preset: str, settings: PretrainSettings) -> Base:
        facts = {"kind": "base", "preset": preset, "settings": asdict(settings), "edition": EDITIONS["pretraining"]}
        return pretrain(
            str(self.data_dir / CORPUS),
            output=RUNS / run_name(facts),
            members=self.members,
            preset=preset,
            settings=settings,
            resume=True,
            progress=self.progress,
        )


def load_part(task: str, seed: int, data_dir: Path, *, test: bool) -> Task:
    """The paper's sample of a task, with the test part or with validation texts in its place.

    Validation texts are training rows outside the sample; for FewRel a tenth of the sample.
    """
    sample = load_task(task, data_dir=data_dir, seed=seed)
    if test:
        return sample
    if task not in _SAMPLE:
        train, held = hold_out(sample.train, 0.1, seed)
        return replace(sample, train=train, test=held)
    per_label = _SAMPLE[task] + _VALIDATION_PER_LABEL[task]
    wider = load_task(task, data_dir=data_dir, seed=seed, train_per_label=per_label).train
    known = {*sample.train.texts, *sample.test.texts}
    fresh = [index for index, text in enumerate(wider.texts) if text not in known]
    return replace(sample, test=wider.take(np.array(fresh)))


def _unlabelled(task: str, seed: int, data_dir: Path, *, measured: Task) -> list[str]:
    """Training texts of a data set, sampled or not, without those that are measured on; for FewRel its sample."""
    texts = measured.train.texts
    if task in _UNLABELLED_PER_LABEL:
        per_label = _UNLABELLED_PER_LABEL[task]
        texts = load_task(task, data_dir=data_dir, seed=seed, train_per_label=per_label).train.texts
    known = set(measured.test.texts)
    return [text for text in texts if text not in known]


def _tokens(member: Path) -> int:
    return int(json.loads((member / TRAINING).read_text(encoding="utf-8"))["tokens"])
