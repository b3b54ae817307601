"""Going on from a fine-tuned committee, with labels that it may not have: what its members and its vote keep."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinylm.committee.files import COMMITTEE, read_committee
from tinylm.committee.mixing import UNSEARCHED, NgramVote
from tinylm.committee.voting import PLAIN, Voting
from tinylm.core.errors import InputError
from tinylm.core.problems import SEVERAL_LABELS
from tinylm.model.layout import CONFIG, read_config, read_problem_type
from tinylm.runtime.artefact import ARTEFACT
from tinylm.steps.base import Base
from tinylm.steps.search import read_mix
from tinylm.text.splits import Task, with_several_labels
from tinylm.train.settings import FinetuneSettings


def open_started(model: Path) -> Base:
    """The members of a fine-tuned model.

    Raises:
        InputError: the folder is none, or an export, or its heads are frozen ones.
    """
    if (model / ARTEFACT).is_file():
        raise InputError(f"{model} was exported, and an export is not trained on; give the folder it was made from")
    if (model / COMMITTEE).is_file():
        members = tuple(model / name for name in read_committee(model).members)
    elif (model / CONFIG).is_file() and read_config(model)[1]:
        members = (model,)
    else:
        raise InputError(f"{model} is not fine-tuned, so there are no labels to start from; give it as the base")
    refuse_frozen_heads(model, members)
    return Base(model, members)


def refuse_frozen_heads(model: Path, members: Iterable[Path]) -> None:
    """Refuse to train members further whose heads were fitted to frozen vectors, at a scale that no gradient suits.

    Args:
        model: the folder of the model.
        members: those of its members.

    Raises:
        InputError: a member has such a head.
    """
    if any("head" in _record_of(member) for member in members):
        raise InputError(f"{model} has frozen heads, which are not trained further; fine-tune its base instead")


def _record_of(member: Path) -> dict[str, Any]:
    """What is known of its training, perhaps nothing."""
    from tinylm.train.member import TRAINING

    record = member / TRAINING
    return dict(json.loads(record.read_text(encoding="utf-8"))) if record.is_file() else {}


def task_to_go_on_with(base: Base, task: Task) -> Task:
    """The task as the model sees it: to one that gives a text any number of labels, one label is one of them.

    Raises:
        InputError: the model gives a text one label, and the task has several.
    """
    if read_problem_type(base.members[0]) == SEVERAL_LABELS:
        return with_several_labels(task)
    if task.problem_type == SEVERAL_LABELS:
        raise InputError(
            f"{task.name} has several labels a text, and {base.folder} gives a text one; fine-tune its base instead"
        )
    return task


def voting_of(model: Path) -> tuple[Voting, NgramVote | None]:
    """How a model votes, and how the n-gram classifier that votes with its members was fitted."""
    if (model / COMMITTEE).is_file():
        voting = read_committee(model).voting
    else:
        voting = replace(PLAIN, problem_type=read_problem_type(model))
    if not voting.ngram_weight:
        return voting, None
    found = read_mix(model)
    if found is None or found.ngrams is None:
        return voting, replace(UNSEARCHED, weight=voting.ngram_weight)
    return voting, found.ngrams


def member_settings_of(member: Path, settings: FinetuneSettings) -> FinetuneSettings:
    """The settings of a member that goes on: it keeps its bigrams, or has none, and drops as many words as before."""
    stored = _record_of(member).get("settings", {})
    before = stored.get("word_dropout") if settings.word_dropout is None else settings.word_dropout
    return replace(settings, bigrams=bool(read_config(member)[0].bigrams), word_dropout=before)


def notes_on(model: Path, labels: Sequence[str], task: Task) -> list[str]:
    """Sentences on what a model keeps and loses by going on with a task.

    Args:
        model: the folder of the model.
        labels: that it has.
        task: what it goes on with.
    """
    new, lost = (
        [x for x in some if x not in others] for some, others in ((task.labels, labels), (labels, task.labels))
    )
    notes = [f"starting from {model}: {len(task.labels) - len(new)} label(s) kept, {len(new)} new"]
    if lost:
        notes.append(f"warning: {task.name} has no row of these labels, which the model forgets: {', '.join(lost)}")
    if task.source is not None and task.source.get("test") is None:
        notes.append(
            f"warning: what {model} learnt may be among the texts that are held out now, so that it looks too good; "
            "name texts that it has not seen with --test"
        )
    return notes
