"""Which labelled texts a model is evaluated on: never those it was trained on, where its record names them.

`run.json` beside a model has the source of its labels, the seed of the split and a fingerprint of all texts. An
exported model has no paths, so that the fingerprint alone shows whether a file is the one of its training.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinylm.core.errors import InputError
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS, ProblemType
from tinylm.core.runs import read_record
from tinylm.text.known import is_name
from tinylm.text.several import LabelForm
from tinylm.text.sources import TaskSource, load_examples
from tinylm.text.splits import Examples, Task


def examples_to_evaluate(
    model: Path,
    labels: tuple[str, ...],
    source: TaskSource | None,
    data_dir: str | Path | None,
    problem_type: ProblemType = ONE_LABEL,
) -> Examples:
    """The examples that a model is evaluated on.

    The source that the model was trained on gives the test part of that training; a file of its own is taken
    whole; a folder, a hub data set or a name gives its test part.

    Args:
        model: folder of the model.
        labels: its labels.
        source: the labelled text; that of the training when None.
        data_dir: where data sets known by name are looked for.
        problem_type: whether the model gives a text one label, or any number.

    Raises:
        InputError: the source cannot be read, has changed since the training, or has a label that the model
            does not know; or there is none, and the model does not know that of its training.
    """
    remedy = "put rows that the model has not seen in a file of their own"
    named = source or source_of_training(model, "name labelled text to evaluate it on")
    task = task_of_training(model, named, "test", remedy, data_dir)
    if task is not None:
        return relabelled(task.test, task.labels, labels, problem_type)
    if source is None:
        raise InputError(f"{model} was trained on {named.source}, which is not in this folder; name where it is")
    return whole_or_part(source, labels, data_dir, lambda task: task.test, problem_type)


def whole_or_part(
    source: TaskSource,
    labels: tuple[str, ...],
    data_dir: str | Path | None,
    part: Callable[[Task], Examples],
    problem_type: ProblemType = ONE_LABEL,
) -> Examples:
    """The whole of a file, or a part of a folder, hub data set or name."""
    if source.test is None and not is_name(source.source) and Path(source.source).is_file():
        form = LabelForm.of(source.label_separator, source.label_columns)
        columns = source.text_column, source.label_column, source.encoding
        return load_examples(
            source.source, labels, *columns, entities=source.entities, form=form, problem_type=problem_type
        )
    task = (source if data_dir is None else replace(source, data_dir=str(data_dir))).load(0)
    return relabelled(part(task), task.labels, labels, problem_type)


def task_of_training(
    model: Path, source: TaskSource, part: str, remedy: str, data_dir: str | Path | None
) -> Task | None:
    """The task that a model was trained on, split as it was then; None where `source` is another one.

    Args:
        model: folder of the model.
        source: labelled text, where it was in the training or at another path.
        part: that is wanted of it, for the message.
        remedy: what to do where the source has changed.
        data_dir: where data sets known by name are looked for.

    Raises:
        InputError: the source is that of the training and has changed since, or lacks the entities that were marked.
    """
    record, data_dir = read_record(model), data_dir or source.data_dir
    if not record.get("task_source"):
        return None
    recorded, given = _recorded_source(record, data_dir), source.record()
    if given["test"] not in (None, recorded.test):
        return None
    if given["source"] == recorded.source:
        task = recorded.load(record["settings"]["seed"])
        if task.fingerprint == record["task_fingerprint"]:
            return task
        raise InputError(
            f"{source.source} has changed since {model} was trained on it, so its {part} part is unknown; {remedy}"
        )
    moved = _moved_task(record, source, data_dir)
    if moved is None and recorded.entities is not None and source.entities is None:
        raise InputError(
            f"{model} was trained on texts with entities marked; name the column of those of {source.source} with "
            "--entities"
        )
    return moved


def source_of_training(model: Path, remedy: str) -> TaskSource:
    """Where the labelled text came from that a model was trained on.

    Args:
        model: folder of the model.
        remedy: what to do where its record does not say so.

    Raises:
        InputError: the record does not say so, as that of a model which learnt from labels in memory.
    """
    record = read_record(model)
    if not record.get("task_source"):
        raise InputError(f"{model} does not say which file it was trained on; {remedy}")
    return _recorded_source(record)


def _recorded_source(record: Mapping[str, Any], data_dir: str | Path | None = None) -> TaskSource:
    """The source of the labels in the record of a training; `data_dir` replaces the recorded one."""
    known = {field.name for field in fields(TaskSource)}
    return TaskSource.from_record({k: v for k, v in record["task_source"].items() if k in known}, data_dir)


def relabelled(
    examples: Examples, own: tuple[str, ...], labels: tuple[str, ...], problem_type: ProblemType = ONE_LABEL
) -> Examples:
    """Examples with the label numbers of a model.

    Args:
        examples: whose labels are positions in `own`.
        own: label names of the examples.
        labels: label names of the model.
        problem_type: of the model; one label a text becomes several of which each text has one.

    Raises:
        InputError: the model does not know a label, or gives one label where the examples have several.
    """
    position = {label: index for index, label in enumerate(labels)}
    unknown = [label for label in own if label not in position]
    if unknown:
        raise InputError(f"the model does not know the label {unknown[0]!r}; it knows {', '.join(labels)}")
    renumbered = np.array([position[label] for label in own])
    if problem_type == ONE_LABEL:
        if examples.problem_type == SEVERAL_LABELS:
            raise InputError("the texts have several labels each, and the model gives one; give one label a text")
        return Examples(examples.texts, renumbered[examples.labels])
    moved = np.zeros((len(examples), len(labels)), np.int64)
    moved[:, renumbered] = examples.with_several_labels(len(own)).labels
    return Examples(examples.texts, moved)


def _moved_task(record: Mapping[str, Any], source: TaskSource, data_dir: str | Path | None) -> Task | None:
    """The task of the training, where `source` holds the same texts at another path; None where it does not."""
    recorded = _recorded_source(record, data_dir)
    moved = replace(recorded, source=source.source)
    if recorded.test is not None:
        # The file of the test part has moved with the other.
        moved = replace(moved, test=str(Path(source.source).with_name(Path(recorded.test).name)))
    # What cannot be read as the training read it is not what it read.
    with suppress(InputError, OSError):
        task = moved.load(record["settings"]["seed"])
        if task.fingerprint == record["task_fingerprint"]:
            return task
    return None
