"""Study `gap`: pre-trained against from scratch, by shape, task and number of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tinylm.study.declaration import Findings, Study
from tinylm.study.grid import Levels
from tinylm.study.reporting.conclusions import Comparison, corrected_together, finding, sentence
from tinylm.study.reporting.figures import IntervalChart
from tinylm.study.reporting.report import Section, Table
from tinylm.study.runs.arms import SCRATCH
from tinylm.study.runs.run import Run
from tinylm.study.statistics.results import Results


@dataclass(frozen=True, kw_only=True)
class Gap(Study):
    """Pre-trained against from scratch."""

    name = "gap"
    question = "How much better is a tiny model that was pre-trained than the same model from scratch?"
    paper = (
        "Tiny language models (arXiv 2507.14871) finds pre-trained BERT-6 and BERT-1 variants better than the same "
        "models from scratch on FewRel, AG News and DBPedia."
    )
    scales: ClassVar = {
        "smoke": {"shapes": ("bert-1", "bert-1-conv2-k3-d64"), "few_label_shapes": ("bert-1",), "labels": (5, None)},
        # Convolutions of 16 x 16, and three of them, take a CPU several times as long as all other variants together.
        "laptop": {"shapes": ("bert-6", "bert-1", "bert-1-24h", "bert-1-8h", "bert-1-conv2-k3-d64")},
        "paper": {"labels": (None,)},
    }

    shapes: tuple[str, ...] = (
        "bert-6",
        "bert-1",
        "bert-1-24h",
        "bert-1-8h",
        "bert-1-conv2-k3-d64",
        "bert-1-conv2-k16-3-d64",
        "bert-1-conv3-k3-d32",
    )
    """Presets of the paper, at the study's width."""
    labels: tuple[int | None, ...] = (5, 20, 80, None)
    """Training texts of each label; none is the paper's number, or all."""
    few_label_shapes: tuple[str, ...] = ("bert-6", "bert-1")
    """Shapes that are also fine-tuned on few labels."""

    def factors(self) -> Mapping[str, Sequence[Any]]:
        """See `Study`."""
        return {"shape": self.shapes, "task": self.tasks, "labels": self.labels, "arm": (*self.arms, SCRATCH)}

    def includes(self, levels: Levels) -> bool:
        """See `Study`."""
        return levels["labels"] is None or levels["shape"] in self.few_label_shapes

    def runs(self, levels: Levels, seed: int) -> Sequence[Run]:
        """See `Study`."""
        start = self.start(levels["arm"], levels["shape"], seed)
        return [self.tuned(start, levels["task"], seed, labels=levels["labels"])]

    def findings(self, results: Results) -> Findings:
        """The gap of each arm, with all labels and with few."""
        compared = corrected_together([Comparison.of(results, "arm", arm, SCRATCH) for arm in self.arms])
        charts = []
        for task in self.tasks:
            here = results.where(task=task)
            estimates = [
                estimate
                for arm in self.arms
                for estimate in Comparison.of(here, "arm", arm, SCRATCH).estimates(arm, ("shape", "labels"))
            ]
            if estimates:
                title = f"{task}: accuracy gained by pre-training, by shape and labels of each class"
                charts.append(IntervalChart(title, "points of accuracy over from scratch", estimates))
        arms = (*self.arms, SCRATCH)
        accuracies = Table(
            ["shape, task, labels", *arms], results.table("accuracy", ("shape", "task", "labels"), "arm")
        )
        all_labels = results.where(labels=None)
        claims = [
            finding(
                f"Pre-trained by {arm} beats from scratch with all labels",
                Comparison.of(all_labels, "arm", arm, SCRATCH).overall,
            )
            for arm in self.arms
        ]
        return Findings(
            sentence([comparison.sentence() for comparison in compared]),
            [
                Section("The gap", charts=charts),
                Section("Differences", tables=[comparison.table() for comparison in compared]),
                Section("Accuracy, %", tables=[accuracies]),
            ],
            " ".join(claims),
        )
