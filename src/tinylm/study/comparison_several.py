"""The comparison of `comparison.py` where a text may have several labels: micro and macro F1 in place of accuracy."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from tinylm.committee.voting import Vote
from tinylm.core.errors import MissingExtraError
from tinylm.core.files import write_json
from tinylm.core.progress import Progress
from tinylm.evaluation.committees import evaluate_several_labels
from tinylm.evaluation.several import SeveralEvaluation, SeveralLabelsEvaluation, evaluate_several
from tinylm.steps.base import Base
from tinylm.steps.committees import finetune_committee
from tinylm.study.baselines.several import fasttext_labels, tfidf_svm_labels
from tinylm.study.comparison import RESULTS, SCRATCH
from tinylm.text.splits import Task
from tinylm.train.settings import FinetuneSettings


@dataclass(frozen=True)
class SeveralRow:
    """One way to learn the task, and how good it is; shares from 0 to 1."""

    name: str
    micro_f1: float
    micro_interval: tuple[float, float]
    macro_f1: float
    macro_interval: tuple[float, float]

    @classmethod
    def of(cls, name: str, found: SeveralEvaluation) -> "SeveralRow":
        """A row of what was measured."""
        return cls(name, found.micro_f1, found.micro_interval, found.macro_f1, found.macro_interval)


def compare_several(
    folder: Path,
    base: Base,
    measured: SeveralLabelsEvaluation,
    task: Task,
    settings: FinetuneSettings,
    vote: Vote,
    progress: Progress,
) -> list[SeveralRow]:
    """Measure baselines on the test part of a task, and keep the rows in `results.json`; see `comparison.compare`."""
    truth = task.test.labels
    progress.start("training tf-idf + linear SVM a label, and fastText", None, "fits")
    rows = [SeveralRow.of("tf-idf + linear SVM a label", evaluate_several(tfidf_svm_labels(task), truth))]
    # It is of an extra of its own.
    with suppress(MissingExtraError):
        rows.append(SeveralRow.of("fastText, loss=ova", evaluate_several(fasttext_labels(task), truth)))
    progress.finish()
    from_scratch = finetune_committee(folder / SCRATCH, base.members, task, settings, vote, progress, from_scratch=True)
    scratch = evaluate_several_labels(from_scratch, task.test)
    rows.append(SeveralRow.of("from scratch, with what votes with them", scratch.committee))
    rows.append(SeveralRow.of("pre-trained, with what votes with them", measured.committee))
    write_json(folder / RESULTS, {"task": task.name, "test": len(task.test), "rows": [asdict(row) for row in rows]})
    return rows


def several_table(title: str, rows: Sequence[SeveralRow]) -> Table:
    """A comparison, its row of the best micro F1 in bold."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in ("micro F1", "95 % interval", "macro F1", "95 % interval"):
        table.add_column(name, justify="right")
    best = max(row.micro_f1 for row in rows)
    for row in rows:
        shown = []
        for share, (low, high) in ((row.micro_f1, row.micro_interval), (row.macro_f1, row.macro_interval)):
            shown += [f"{share:.1%}", f"{low:.1%} to {high:.1%}"]
        table.add_row(row.name, *shown, style="bold" if row.micro_f1 == best else None)
    return table
