"""How much labels and rows count in training, with the names and the arithmetic of scikit-learn.

Only the ratios count: the loss is a weighted mean, so that twice the weight everywhere changes nothing.
"""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.core.problems import SEVERAL_LABELS
from tinylm.text.splits import Task, task_fingerprint

BALANCED = "balanced"

ClassWeight = dict[str, float] | tuple[str, ...] | str
"""`balanced`, or a weight for each label, 1 where there is none; words are read by `parse_class_weight`."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of the labels and of the training rows of a task."""

    of_labels: npt.NDArray[np.float64]
    """(labels,)."""
    of_samples: npt.NDArray[np.float64]
    """(training rows,): what each was given, whatever its label."""
    of_rows: npt.NDArray[np.float64]
    """(training rows,): the product of both, with the mean 1."""


def weights_of(task: Task, class_weight: ClassWeight | None) -> Weights | None:
    """The weights that a task is trained with; None where all rows count alike.

    Args:
        task: of which the training rows may have weights.
        class_weight: `balanced` gives a label n / (labels * its rows), as scikit-learn's `compute_class_weight` does,
            rows counted by their weights; a table gives each label what it says, and 1 where it says nothing.

    Raises:
        InputError: the table names a label that the task does not have, or all rows of a label have the weight 0.
    """
    given, labels = task.train.weights, task.train.labels
    if given is None and class_weight is None:
        return None
    if given is None:
        given = np.ones(len(labels))
    elif not given.any():
        raise InputError(f"{task.name} has the weight 0 in every row; give some of them more")
    if task.problem_type == SEVERAL_LABELS:
        if class_weight is not None:
            raise InputError(f"{task.name} has several labels a text, and class_weight is for one; leave it out")
        return Weights(np.ones(len(task.labels)), given / given.mean(), given / given.mean())
    counts = np.bincount(labels, weights=given, minlength=len(task.labels))
    if class_weight == BALANCED:
        if not counts.all():
            label = task.labels[int(counts.argmin())]
            raise InputError(f"{task.name} has the weight 0 in every row of {label!r}, which then cannot be balanced")
        of_labels = counts.sum() / (len(counts) * counts)
    else:
        table = class_weight if isinstance(class_weight, Mapping) else {}
        unknown = next((label for label in table if label not in task.labels), None)
        if unknown is not None:
            raise InputError(
                f"class_weight has the label {unknown!r}, which {task.name} does not; it has {', '.join(task.labels)}"
            )
        of_labels = np.array([table.get(label, 1.0) for label in task.labels])
    of_rows = given * of_labels[labels]
    return Weights(of_labels * given.mean() / of_rows.mean(), given / given.mean(), of_rows / of_rows.mean())


def with_sample_weight(task: Task, sample_weight: npt.ArrayLike) -> Task:
    """The same task, with a weight for each of its training rows.

    Args:
        task: what to learn.
        sample_weight: (training rows,) numbers of at least 0, in the order of `task.train`.

    Raises:
        InputError: there are not as many as training rows, or one is no such number.
    """
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            "sample_weight holds something that is no number; give a number of at least 0 a row"
        ) from error
    if weights.shape != (len(task.train),):
        raise InputError(
            f"sample_weight has shape {weights.shape}, and {task.name} has {len(task.train)} rows; give each one"
        )
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError("sample_weight holds a number below 0 or none at all; give a number of at least 0 a row")
    train = replace(task.train, weights=weights)
    return replace(task, train=train, fingerprint=task_fingerprint(task.labels, train, task.test))


def parse_class_weight(words: Sequence[str]) -> dict[str, float] | str:
    """Class weights as they are written: `balanced`, a TOML or JSON file, or `label=weight` for each label.

    Raises:
        InputError: they are none of these.
    """
    if list(words) == [BALANCED]:
        return BALANCED
    if len(words) == 1 and "=" not in words[0] and Path(words[0]).suffix.lower() in (".toml", ".json"):
        return _read(Path(words[0]))
    table: dict[str, Any] = {}
    for word in words:
        label, equals, weight = word.rpartition("=")
        if not equals or not label:
            raise InputError(
                f"class_weight {word!r} is none; give balanced, label=weight for each label, or a .toml or .json file"
            )
        if label in table:
            raise InputError(f"class_weight gives the label {label!r} two weights; give it one")
        table[label] = weight
    return checked_class_weight(table)


def checked_class_weight(table: Mapping[str, Any]) -> dict[str, float]:
    """A table of numbers above 0.

    Raises:
        InputError: it is empty, or a weight is no such number.
    """
    if not table:
        raise InputError("class_weight is an empty table; name a label in it, or leave it out")
    return {str(label): _weight(str(label), weight) for label, weight in table.items()}


def _weight(label: str, value: Any) -> float:
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if isinstance(value, bool) or not 0 < weight < math.inf:
        raise InputError(f"class_weight of {label!r} is {value!r}; give a number above 0")
    return weight


def _read(path: Path) -> dict[str, float]:
    read = tomllib.loads if path.suffix.lower() == ".toml" else json.loads
    try:
        table = read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a .toml or .json file of weights") from error
    except ValueError as error:
        raise InputError(f"{path} is no table of weights ({error}); write a label and its weight a line") from error
    if not isinstance(table, dict):
        raise InputError(f"{path} is no table of weights; write labels with their weights")
    return checked_class_weight(table)
