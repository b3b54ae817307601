"""Out-of-fold evaluation: each text is classified by the members that did not train on its label.

Each member holds out a part of the training texts of its own. Between them the members hold out many texts, each with
at least one member to classify it, so that a model can be measured while its test part is left alone.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinylm.committee import voting
from tinylm.committee.thresholds import TRUST, choose_thresholds
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS, ProblemType
from tinylm.core.runs import read_record
from tinylm.core.seeds import member_seed
from tinylm.evaluation.examples import relabelled, source_of_training, task_of_training, whole_or_part
from tinylm.runtime.classifier import Classifier
from tinylm.text.sources import TaskSource
from tinylm.text.splits import Examples, Task, held_out_rows, hold_out, with_several_labels


@dataclass(frozen=True)
class OutOfFoldExamples:
    """Labelled texts, each with the members that did not train on it, as far as their record shows it."""

    examples: Examples
    """n of them."""
    out_of_fold: npt.NDArray[np.bool_]
    """(members, n), True for the members that classify the text; every text has such a member."""
    origin: str = "held out of training"
    """What is known of the texts, for people."""

    def predictions(self, committee: Classifier) -> npt.NDArray[np.int64]:
        """The class that the out-of-fold members of each text vote for: (n,), or (n, labels) as `Examples.labels`."""
        probabilities = self.probabilities(committee)
        if committee.voting.several:
            return np.asarray(probabilities >= committee.voting.least(len(committee.labels)), np.int64)
        return np.asarray(probabilities.argmax(1))

    def probabilities(self, committee: Classifier) -> npt.NDArray[np.float64]:
        """What the out-of-fold members of each text vote: (n, classes)."""
        votes = committee.votes(self.examples.texts)  # (members, n, classes)
        probabilities = np.empty(votes.shape[1:])
        for members in np.unique(self.out_of_fold, axis=1).T:
            texts = (self.out_of_fold == members[:, None]).all(axis=0)
            probabilities[texts] = voting.vote(votes[members][:, texts], committee.voting)
        return probabilities


def open_out_of_fold(
    model: Path,
    members: int,
    labels: tuple[str, ...],
    source: TaskSource | None,
    data_dir: str | Path | None,
    problem_type: ProblemType = ONE_LABEL,
) -> OutOfFoldExamples:
    """Labelled texts to measure on while a model is being made, none of them from its test part.

    Args:
        model: folder of the model.
        members: how many it has.
        labels: its labels.
        source: labelled text. None, or that of the model's own training: what each member held out of it is for that
            member. Of any other, which the model may or may not have learnt, a file is taken whole, and a folder, hub
            data set or name gives a tenth of its training part, for all members.
        data_dir: where data sets known by name are looked for.
        problem_type: whether the model gives a text one label, or any number.

    Raises:
        InputError: there is no such text, or it has changed since the training.
    """
    remedy = "name labelled text that the model has not seen with --task"
    if source is None:
        source = source_of_training(model, "name labelled text with --task")
    task = task_of_training(model, source, "validation", remedy, data_dir)
    if task is None:
        part = whole_or_part(source, labels, data_dir, lambda task: hold_out(task.train, 0.1, 0)[1], problem_type)
        return OutOfFoldExamples(part, np.ones((members, len(part)), dtype=bool), "of the given task")
    if problem_type == SEVERAL_LABELS:
        task = with_several_labels(task)
    settings = read_record(model)["settings"]
    fraction, seed = settings["validation_fraction"], settings["seed"]
    held_out = _held_out_by_member(task.train, fraction, seed, members)
    return replace(held_out, examples=relabelled(held_out.examples, task.labels, labels, problem_type))


def thresholds_out_of_fold(committee: Classifier, task: Task, fraction: float, seed: int) -> tuple[float, ...]:
    """Thresholds for several labels a text, chosen by what each member held out of its training.

    Args:
        committee: of members that were trained on `task`.
        task: what they learnt.
        fraction: of the training texts that each held out.
        seed: of the committee.
    """
    held_out = _held_out_by_member(task.train, fraction, seed, len(committee))
    probabilities = held_out.probabilities(committee)
    return tuple(choose_thresholds(probabilities, held_out.examples.labels, trust=TRUST).tolist())


def _held_out_by_member(train: Examples, fraction: float, seed: int, members: int) -> OutOfFoldExamples:
    held_out = np.stack([held_out_rows(train, fraction, member_seed(seed, index)) for index in range(members)])
    kept = np.flatnonzero(held_out.any(axis=0))
    return OutOfFoldExamples(train.take(kept), held_out[:, kept])
