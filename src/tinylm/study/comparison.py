"""Is pre-training worth it? The committee beside its members, the same members from scratch, and tf-idf.

Members, and their votes alone, are what is compared; a linear n-gram classifier that votes with them has a row more.
"""

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from tinylm.committee.files import member_names
from tinylm.committee.voting import Vote
from tinylm.core.files import write_json
from tinylm.core.progress import Progress
from tinylm.evaluation.committees import CommitteeEvaluation, evaluate_committee
from tinylm.evaluation.metrics import accuracy_interval
from tinylm.steps.base import Base
from tinylm.steps.committees import finetune_committee
from tinylm.steps.search import read_mix
from tinylm.study.baselines.tfidf import tfidf_svm
from tinylm.study.reporting.report import ResultRow
from tinylm.text.splits import Task
from tinylm.train.member import TRAINING
from tinylm.train.settings import FinetuneSettings

RESULTS = "results.json"
SCRATCH = "scratch"
"""Folder of the members from scratch, in that of the committee."""
AND_NGRAMS = "and n-grams"
"""What the row of members with a linear n-gram classifier in their vote is called after that of members alone."""


def compare(
    folder: Path,
    base: Base,
    measured: CommitteeEvaluation,
    task: Task,
    settings: FinetuneSettings,
    vote: Vote,
    progress: Progress,
) -> list[ResultRow]:
    """Measure the committee and its baselines on the test part of a task, and keep the rows in `results.json`.

    Args:
        folder: of the committee; the members from scratch go to `scratch` in it.
        base: its pre-trained members, whose shapes and vocabularies those from scratch take.
        measured: what the committee fine-tuned from `base` reaches on the test part.
        task: what it was fine-tuned to.
        settings: how; the members from scratch are trained the same way, and are of the same kinds.
        vote: how it votes.
        progress: receives stages and messages.
    """
    started = time.perf_counter()
    progress.start("cross-validating tf-idf + linear SVM", None, "fits")
    predicted = tfidf_svm(task.train.texts, task.train.labels.tolist(), task.test.texts)
    progress.finish()
    right = float(np.mean(predicted == task.test.labels))
    rows = [_row("tf-idf + linear SVM", right, len(task.test), time.perf_counter() - started)]
    scratch_folder = folder / SCRATCH
    found = read_mix(folder)
    kinds = found.kinds if found else ()
    from_scratch = finetune_committee(
        scratch_folder, base.members, task, settings, vote, progress, from_scratch=True, kinds=kinds
    )
    scratch = evaluate_committee(from_scratch, task.test)
    names = member_names(len(base.members))
    members = [folder / name for name in names]
    rows += _rows("from scratch", scratch, _seconds(scratch_folder / name for name in names))
    seconds = _seconds(members) + _seconds(base.members)
    rows += _rows("pre-trained", measured, seconds)
    if measured.ngrams is not None:
        rows.append(_row(f"{rows[-1].name} {AND_NGRAMS}", measured.committee.accuracy, len(task.test), seconds))
    write_json(folder / RESULTS, {"task": task.name, "test": len(task.test), "rows": [vars(row) for row in rows]})
    return rows


def _rows(name: str, measured: CommitteeEvaluation, seconds: float) -> Sequence[ResultRow]:
    n, members = measured.committee.n, len(measured.members)
    one = _row(f"{name}, one member", float(np.mean(measured.members)), n, seconds / members)
    if members == 1:
        return [one]
    return [one, _row(f"{name}, committee of {members}", measured.members_alone, n, seconds)]


def _seconds(members: Iterable[Path]) -> float:
    """Time that training took; a base that came from elsewhere counts for nothing."""
    records = (member / TRAINING for member in members)
    return sum(float(json.loads(path.read_text(encoding="utf-8"))["seconds"]) for path in records if path.is_file())


def _row(name: str, accuracy: float, n: int, seconds: float) -> ResultRow:
    low, high = accuracy_interval(round(accuracy * n), n)
    return ResultRow(name, accuracy, low, high, seconds)


def rows_table(title: str, rows: Sequence[ResultRow]) -> Table:
    """A comparison, its best row in bold."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column("accuracy", justify="right")
    table.add_column("95 % interval", justify="right")
    best = max(row.accuracy for row in rows)
    for row in rows:
        style = "bold" if row.accuracy == best else None
        table.add_row(row.name, f"{row.accuracy:.1%}", f"{row.low:.1%} to {row.high:.1%}", style=style)
    return table
