"""The whole job in minutes, offline: which library does a text document?

The corpus is the documentation of the Python packages on this machine. The task's texts are not in it, and the
names of the libraries are masked in them.
"""

import json
import os
import platform
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch

from tinylm.core.progress import Progress
from tinylm.evaluation.committees import evaluate_committee
from tinylm.steps.base import PRETRAINED, open_base
from tinylm.steps.pretrain import Pretrain
from tinylm.steps.train import Train
from tinylm.study.comparison import compare
from tinylm.study.library_task import library_task
from tinylm.study.pace import duration
from tinylm.study.reporting.charts import Chart, Curve, Reference
from tinylm.study.reporting.report import NextStep, ResultRow, write_report
from tinylm.text.corpus import CorpusSource
from tinylm.text.sources import TaskSource
from tinylm.text.splits import write_examples
from tinylm.train.member import TRAINING
from tinylm.train.schedule import seconds_of
from tinylm.train.settings import FinetuneSettings, PretrainSettings
from tinylm.train.trainer import METRICS

REPORT = "report.html"
LABELS = "labels"
_MEMBERS = 2
_BUDGET = "2m"


def run_demo(output: Path, *, resume: bool, progress: Progress) -> tuple[list[ResultRow], list[NextStep]]:
    """Pre-train two members, fine-tune them, compare, and write a model folder with report and labels in it.

    Args:
        output: folder to write.
        resume: go on with a demo that was interrupted.
        progress: receives stages and messages.

    Returns:
        The rows of the comparison, and what to type next.

    Raises:
        InputError: the folder is taken, or too little documentation is installed.
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
    """
    started = time.perf_counter()
    progress.start("reading the documentation of installed packages", None, "documents")
    corpus, task = library_task()
    progress.finish()
    finetuning = FinetuneSettings()
    step = Train(
        pretrain=Pretrain(corpus=CorpusSource(corpus), members=_MEMBERS, settings=PretrainSettings(budget=_BUDGET)),
        task=TaskSource(task.name),
        finetune=finetuning,
    )
    committee = step.run(output, task=task, resume=resume, progress=progress)
    base = open_base(output)
    measured = evaluate_committee(committee, task.test)
    rows = compare(output, base, measured, task, finetuning, committee.voting.vote, progress)
    for name, part in (("train.csv", task.train), ("test.csv", task.test)):
        write_examples(output / LABELS / name, part, task.labels)
    question = "'Fit a logistic regression classifier to the training data.'"
    # Of the whole folder a tenth of the training part would be taken, which the members have learnt.
    model, labels = shlex.quote(str(output)), shlex.quote(str(output / LABELS / "test.csv"))
    small = shlex.quote(f"{output}-small")
    next_steps = [
        NextStep("label a text", f"tinylm predict {model} {question}"),
        NextStep("make it small and fast", f"tinylm export {model} -o {small} --int8 --task {labels}"),
        NextStep("try it in a browser", f"tinylm serve {model}"),
        NextStep(
            "train on your own text and labels",
            "tinylm train --corpus notes.txt --task labels.csv --budget 10m --members 4 -o model",
        ),
        NextStep("measure a model on other labelled text", "tinylm evaluate model more.csv"),
    ]
    accuracy = {row.name: row.accuracy for row in rows}
    pretrained, scratch = (accuracy[f"{how}, committee of {_MEMBERS}"] for how in ("pre-trained", "from scratch"))
    seconds = time.perf_counter() - started
    write_report(
        output / REPORT,
        title="Which library does this text document?",
        summary=(
            f"{_MEMBERS} language models with one layer each were pre-trained for {duration(seconds_of(_BUDGET))} "
            "on the documentation of the Python packages on this machine, then fine-tuned to distinguish "
            f"{len(task.labels)} libraries on {len(task.train)} labelled texts. "
            f"Together they are right on {pretrained:.1%} of {len(task.test):,} unseen texts; "
            f"the same members without pre-training, on {scratch:.1%}."
        ),
        table=rows,
        charts=list(_charts(output)),
        notes=[*task.notes, "Intervals are Wilson's at 95 %. The row of one member is the mean over the members."],
        next_steps=next_steps,
        machine=(
            f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
            f"Python {platform.python_version()}, torch {torch.__version__}; {seconds:.0f} s in all"
        ),
        settings=json.loads((output / "member-0" / TRAINING).read_text(encoding="utf-8"))["settings"],
    )
    return rows, next_steps


def _charts(output: Path) -> Iterator[Chart]:
    pretrained = sorted((output / PRETRAINED).glob("member-*"))
    entropy = json.loads((pretrained[0] / TRAINING).read_text(encoding="utf-8"))["unigram_entropy"]
    yield Chart(
        "Pre-training: predicting the words of a passage and of its neighbour",
        "seconds",
        "loss (nats)",
        [curve for folder in pretrained for curve in _curves(folder, "seconds", "loss")],
        Reference("knowing only how frequent each token is", entropy),
    )
    finetuned = sorted(output.glob("member-*"))
    yield Chart(
        "Fine-tuning: accuracy on the part that each member held out",
        "updates",
        "accuracy",
        [curve for folder in finetuned for curve in _curves(folder, "step", "accuracy")],
    )


def _curves(folder: Path, x: str, y: str) -> Iterator[Curve]:
    records = [json.loads(line) for line in (folder / METRICS).read_text(encoding="utf-8").splitlines()]
    name = folder.name.replace("-", " ")
    # Both are the same measure at the same updates. The loss of each update is over a sample of the vocabulary.
    splits: dict[str, Literal["train", "validation"]] = {"training": "train", "validation": "validation"}
    for key, split in splits.items():
        points = [(float(record[x]), float(record[key][y])) for record in records if y in record.get(key, {})]
        if points:
            yield Curve(name, split, points)
