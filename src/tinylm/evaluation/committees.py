"""How good a committee is on labelled text: its measures, those of its members, and of every smaller committee."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinylm.committee import voting
from tinylm.core.errors import InputError
from tinylm.core.runs import read_record
from tinylm.core.seeds import member_seed
from tinylm.evaluation import metrics
from tinylm.runtime.classifier import Classifier
from tinylm.text.sources import Task, TaskSource, held_out_rows, hold_out, load_examples
from tinylm.text.splits import Examples


@dataclass(frozen=True)
class Validation:
    """Labelled texts, each with the members that may judge it: those that have not learnt its label.

    Attributes:
        examples: n of them.
        judges: shape (members, n), True where a member may judge; every text has one at least.
    """

    examples: Examples
    judges: npt.NDArray[np.bool_]

    def predictions(self, committee: Classifier) -> npt.NDArray[np.int64]:
        """The class that the judges of each text vote for: shape (n,)."""
        votes = committee.votes(self.examples.texts)
        predicted = np.empty(len(self.examples), np.int64)
        for judging in np.unique(self.judges, axis=1).T:
            texts = (self.judges == judging[:, None]).all(axis=0)
            predicted[texts] = voting.vote(votes[judging][:, texts], committee.vote).argmax(1)
        return predicted


@dataclass(frozen=True)
class CommitteeEvaluation:
    """Measures of a committee.

    Attributes:
        committee: of the vote.
        members: accuracy of each member, 0 to 1.
        sizes: accuracy of committees of 1, 2, ... all members, mean over subsets.
        disagreement: mean mutual information between member and prediction, in nats.
    """

    committee: metrics.Evaluation
    members: tuple[float, ...]
    sizes: tuple[voting.SizeAccuracy, ...]
    disagreement: float


def evaluate_committee(committee: Classifier, examples: Examples) -> CommitteeEvaluation:
    """Measure a committee on examples whose labels are positions in `committee.labels`."""
    votes = committee.votes(examples.texts)
    return CommitteeEvaluation(
        committee=metrics.evaluate(voting.vote(votes, committee.vote), examples.labels),
        members=tuple(float(np.mean(vote.argmax(1) == examples.labels)) for vote in votes),
        sizes=tuple(voting.accuracy_by_size(votes, examples.labels, committee.vote)),
        disagreement=float(voting.disagreement(votes).mean()),
    )


def examples_to_evaluate(
    model: Path, labels: tuple[str, ...], source: TaskSource, data_dir: str | Path | None
) -> Examples:
    """The examples that a model is evaluated on.

    The source that the model was trained on gives the test part of that training; a file of its own is taken
    whole; a folder, a hub data set or a name gives its test part.

    Args:
        model: folder of the model.
        labels: its labels.
        source: the labelled text.
        data_dir: where data sets known by name are looked for.

    Raises:
        InputError: the source cannot be read, has changed since the training, or has a label that the model
            does not know.
    """
    record = read_record(model)
    trained_on = TaskSource(**record["task_source"]) if record.get("task_source") else None
    if trained_on is not None and trained_on.source == source.absolute().source and source.test is None:
        remedy = "put rows that the model has not seen in a file of their own"
        task = _as_trained_on(model, record, source.source, "test", remedy, data_dir)
        return _relabelled(task.test, task.labels, labels)
    return _whole_or_part(source, labels, data_dir, lambda task: task.test)


def open_validation(
    model: Path, members: int, labels: tuple[str, ...], source: TaskSource | None, data_dir: str | Path | None
) -> Validation:
    """Labelled texts to measure on while a model is being made, none of them from its test part.

    Args:
        model: folder of the model.
        members: how many it has.
        labels: its labels.
        source: a file is taken whole, a folder, hub data set or name gives a tenth of its training part, and all
            members judge it; when None, what each member held out of the model's own training is judged by it.
        data_dir: where data sets known by name are looked for.

    Raises:
        InputError: there is no such text, or it has changed since the training.
    """
    if source is not None:
        examples = _whole_or_part(source, labels, data_dir, lambda task: hold_out(task.train, 0.1, 0)[1])
        return Validation(examples, np.ones((members, len(examples)), dtype=bool))
    record = read_record(model)
    if not record.get("task_source"):
        raise InputError(f"{model} does not say which file it was trained on; name labelled text with --task")
    remedy = "name labelled text that the model has not seen with --task"
    task = _as_trained_on(model, record, record["task_source"]["source"], "validation", remedy, data_dir)
    fraction, seed = record["settings"]["validation_fraction"], record["settings"]["seed"]
    judges = np.stack([held_out_rows(task.train, fraction, member_seed(seed, index)) for index in range(members)])
    judged = np.flatnonzero(judges.any(axis=0))
    return Validation(_relabelled(task.train.take(judged), task.labels, labels), judges[:, judged])


def _whole_or_part(
    source: TaskSource, labels: tuple[str, ...], data_dir: str | Path | None, part: Callable[[Task], Examples]
) -> Examples:
    """The whole of a file, or a part of a folder, hub data set or name."""
    if source.test is None and Path(source.source).is_file():
        return load_examples(source.source, labels, source.text_column, source.label_column)
    task = source.load(data_dir, 0)
    return _relabelled(part(task), task.labels, labels)


def _as_trained_on(
    model: Path, record: dict[str, Any], named: str, part: str, remedy: str, data_dir: str | Path | None
) -> Task:
    """The task that a model was trained on, parted as it was then."""
    task = TaskSource(**record["task_source"]).load(data_dir, record["settings"]["seed"])
    if task.fingerprint != record["task_fingerprint"]:
        raise InputError(
            f"{named} has changed since {model} was trained on it, so its {part} part cannot be told; {remedy}"
        )
    return task


def _relabelled(examples: Examples, own: tuple[str, ...], labels: tuple[str, ...]) -> Examples:
    position = {label: index for index, label in enumerate(labels)}
    unknown = [label for label in own if label not in position]
    if unknown:
        raise InputError(f"the model does not know the label {unknown[0]!r}; it knows {', '.join(labels)}")
    renumbered = np.array([position[label] for label in own])
    return Examples(examples.texts, renumbered[examples.labels])
