"""Tasks of many kinds, with default settings, beside tf-idf with a linear SVM and fastText.

    tinylm pretrain --corpus wikipedia --members 2 --budget 12m -o runs/base
    python -m benchmarks.tasks members --base runs/base --data ../shared/data --tasks customer-opinions,ag_news
    python -m benchmarks.tasks rivals --data ../shared/data --tasks customer-opinions --per-label 20 --seeds 0,1,2
    python -m benchmarks.tasks parts --base runs/base --data ../shared/data --tasks customer-opinions --per-label 80

A task is a folder of `DATA/tasks` with `train.jsonl.gz` and `test.jsonl.gz`, or the name of a data set. With
`--per-label` so many training rows of each label are drawn by the seed; without it there are all of them, and of a
named data set the paper's number. Rivals learn the same rows: tf-idf chooses its features and C by cross-validation on
them, fastText its epochs, rate and features by held-out labels. `parts` measures committees from scratch and
pre-trained, without and with bigrams. Each result is added to `--results` at once, and what is there already is not
measured again, so that an interrupted run goes on. `show` prints what is there, a row a task, and measures nothing.
Balanced accuracy is the mean recall of the classes: as many rows of each label are drawn as of any other, but test
parts are uneven, so that accuracy depends on which class a text without known words is given.
"""

import argparse
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import tinylm
from benchmarks.results import add_results, measure_once
from benchmarks.tasks.parts import accuracy_of_parts, rows_of_parts
from benchmarks.tasks.table import rows_of_classifiers
from tinylm.core.errors import TinyLMError
from tinylm.evaluation.committees import evaluate_committee
from tinylm.evaluation.metrics import Evaluation, evaluate
from tinylm.steps.base import open_base
from tinylm.text.known import DATA_SETS
from tinylm.text.sources import load_task
from tinylm.text.splits import Task

_TEST_ROWS = 4000

_MEASURES = ("accuracy", "balanced accuracy")

Tasks = defaultdict[str, defaultdict[str, dict[int, float]]]
"""Per cent by the seed of the draw, by classifier, by task."""


def _load(arguments: argparse.Namespace, name: str, seed: int) -> Task:
    """The task, of whose test part 4,000 rows are left at most, the same ones whatever the seed."""
    source = name if name in DATA_SETS else arguments.data / "tasks" / name
    task = load_task(source, data_dir=arguments.data, train_per_label=arguments.per_label, seed=seed)
    tested = np.random.default_rng(0).permutation(len(task.test))[:_TEST_ROWS]
    return replace(task, test=task.test.take(tested))


def _per_cent(accuracy: float) -> float:
    return round(100 * accuracy, 2)


def _measured(evaluation: Evaluation) -> dict[str, float]:
    """Each of `_MEASURES`, in per cent."""
    recalls = [measures.recall for measures in evaluation.by_class if measures.n]
    found = (evaluation.accuracy, float(np.mean(recalls)))
    return {name: _per_cent(value) for name, value in zip(_MEASURES, found, strict=True)}


def _members(arguments: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    task = _load(arguments, name, seed)
    output = arguments.models / _key(arguments, "members", name, seed).replace(" ", "-")
    started = time.perf_counter()
    model = tinylm.finetune(arguments.base, task, output=output, seed=seed, resume=output.is_dir(), progress=None)
    seconds = round(time.perf_counter() - started, 1)
    measured = _measured(evaluate_committee(model, task.test).committee)
    return {"labels": len(task.train), "classes": len(task.labels), **measured, "seconds": seconds}


def _rivals(arguments: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    from tinylm.study.baselines.fast_text import fasttext_classes  # noqa: PLC0415
    from tinylm.study.baselines.tfidf import tfidf_svm  # noqa: PLC0415

    task = _load(arguments, name, seed)
    predicted = {"tf-idf": tfidf_svm(task.train.texts, task.train.labels.tolist(), task.test.texts, seed)}
    try:
        predicted["fastText"] = fasttext_classes(task, seed)
    except TinyLMError as error:
        print(error)
    certain = np.eye(len(task.labels))
    return {rival: _measured(evaluate(certain[classes], task.test.labels)) for rival, classes in predicted.items()}


def _parts(arguments: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    task, base = _load(arguments, name, seed), open_base(arguments.base)
    return {part: _per_cent(accuracy) for part, accuracy in accuracy_of_parts(task, base, seed).items()}


def _key(arguments: argparse.Namespace, mode: str, name: str, seed: int) -> str:
    number = "all" if arguments.per_label is None else arguments.per_label
    version = f" {arguments.name}" if mode == "members" else ""
    return f"{mode}{version} {name} {number} {seed}"


def _show(arguments: argparse.Namespace) -> None:
    """Tables of Markdown for each number of labels a class."""
    classifiers = defaultdict[tuple[str, str], Tasks](lambda: defaultdict(lambda: defaultdict(dict)))
    parts = defaultdict[tuple[str, str], dict[int, dict[str, float]]](dict)
    for key, found in json.loads(arguments.results.read_text()).items():
        read = re.fullmatch(r"(?:members (?P<name>\S+)|rivals|parts) (?P<task>\S+) (?P<labels>\S+) (?P<seed>\d+)", key)
        assert read is not None
        task, labels, seed = read["task"], read["labels"], int(read["seed"])
        if key.startswith("parts "):
            parts[labels, task][seed] = found
            continue
        for classifier, measured in {read["name"]: found}.items() if read["name"] else found.items():
            for measure in _MEASURES:
                classifiers[labels, measure][task][classifier][seed] = measured[measure]
    for (labels, measure), tasks in sorted(classifiers.items()):
        print(f"\n{measure}, %, labels a class: {labels}\n")
        print(*rows_of_classifiers(tasks, arguments.name), sep="\n")
    if parts:
        print(*rows_of_parts(parts), sep="\n")


_MODES: dict[str, Callable[[argparse.Namespace, str, int], dict[str, Any]]] = {
    "members": _members,
    "rivals": _rivals,
    "parts": _parts,
}


def main() -> None:
    """Measure what is not in the results yet, seed by seed and task by task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=[*_MODES, "show"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of data sets [%(default)s]")
    parser.add_argument("--tasks", default="", help="names, with commas between them")
    parser.add_argument("--base", type=Path, help="folder of pre-trained members")
    parser.add_argument("--name", default="now", help="of this version of the package [%(default)s]")
    parser.add_argument("--per-label", type=int, help="training rows of each label; all by default")
    parser.add_argument("--seeds", default="0", help="with commas between them [%(default)s]")
    parser.add_argument("--models", type=Path, default=Path("runs/benchmarks/tasks"), help="where models are written")
    add_results(parser, "tasks")
    arguments = parser.parse_args()
    if arguments.mode == "show":
        _show(arguments)
        return
    if arguments.mode in ("members", "parts") and arguments.base is None:
        parser.error("members are fine-tuned from a base; give its folder with --base")
    measure = _MODES[arguments.mode]
    for seed in map(int, arguments.seeds.split(",")):
        for name in filter(None, arguments.tasks.split(",")):
            key = _key(arguments, arguments.mode, name, seed)
            measure_once(arguments.results, key, partial(measure, arguments, name, seed))


if __name__ == "__main__":
    main()
