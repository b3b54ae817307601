"""Measuring a model on labelled text: a file, a table or texts in memory, or the test part of its training."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinylm.core.cores import usable_cores
from tinylm.evaluation.committees import CommitteeEvaluation, measure_committee
from tinylm.evaluation.examples import examples_to_evaluate
from tinylm.evaluation.several import SeveralLabelsEvaluation
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.loading import load
from tinylm.steps.finetune import source_or_columns
from tinylm.text.memory import Frame, examples_in_memory
from tinylm.text.sources import TaskSource


def evaluate(
    model: Classifier | str | Path,
    task: TaskSource | str | Path | Frame | None = None,
    *,
    texts: Iterable[str] | None = None,
    labels: Iterable[Any] | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    data_dir: str | Path | None = None,
) -> CommitteeEvaluation | SeveralLabelsEvaluation:
    """Measure a model on labelled text: accuracy with its interval, macro F1, calibration and more.

    Args:
        model: what `finetune`, `distill` or `load` returned, or the folder of a model.
        task: the labelled text. The source that the model was trained on, which is the default, gives the test part of
            that training; another file or a table in memory is taken whole; a folder, a hub data set or a name gives
            its test part.
        texts: the texts, where they are in memory by themselves.
        labels: their labels.
        text_column: column of the text in `task`; found by the usual names when None.
        label_column: column of the label in `task`; likewise.
        data_dir: where data sets known by name are looked for.

    Returns:
        The measures: `print` shows them as `tinylm evaluate` does, `as_json()` gives them all by name.

    Raises:
        InputError: the labelled text cannot be read, has changed since the training, or has a label that the model does
            not know; or there is none, and the model does not know that of its training.
    """
    committee = model if isinstance(model, Classifier) else load(model, threads=usable_cores())
    known, problem_type = committee.labels, committee.voting.problem_type
    named = any(argument is not None for argument in (task, texts, labels, text_column, label_column))
    found = source_or_columns(task, texts, labels, text_column, label_column, data_dir) if named else None
    if found is None or isinstance(found, TaskSource):
        examples = examples_to_evaluate(committee.folder, known, found, data_dir, problem_type)
    else:
        examples = examples_in_memory(*found, known, problem_type)
    return measure_committee(committee, examples)
