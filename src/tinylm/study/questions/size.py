"""Study `size`: accuracy against the number of documents to pre-train on, at equal updates and at equal passes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinylm.study.declaration import Findings, Study
from tinylm.study.grid import Levels
from tinylm.study.reporting.charts import Chart
from tinylm.study.reporting.conclusions import (
    POINTS,
    accuracy_at_infinity,
    accuracy_curve,
    excludes_zero,
    finding,
    sentence,
    signed,
)
from tinylm.study.reporting.report import Section, Table
from tinylm.study.runs.arms import SCRATCH, Length
from tinylm.study.runs.run import Run
from tinylm.study.runs.subsets import Subset
from tinylm.study.statistics.intervals import Interval, t_interval
from tinylm.study.statistics.results import SEED, Results

_UPDATES, _PASSES = "equal updates", "equal passes"


@dataclass(frozen=True, kw_only=True)
class Size(Study):
    """Accuracy against documents of pre-training."""

    name = "size"
    question = "How does accuracy grow with the number of documents that a model is pre-trained on?"
    paper = (
        "Tiny language models (arXiv 2507.14871) finds that the gap to from scratch grows with the pre-training set; "
        "its passes are equal, so that larger sets also mean more updates."
    )
    scales: ClassVar = {
        "smoke": {"sizes": (0, 60, 120, 240), "passes": 1.0},
        "paper": {
            "sizes": (0, 1000, 5000, 20_000, 40_000, 90_000),
            "passes": 50.0,
            "tokens": 250_000_000,
            "epochs": None,
            "shapes": ("bert-6", "bert-1"),
        },
    }

    shapes: tuple[str, ...] = ("bert-1",)
    """Presets of the paper, at the study's width."""
    sizes: tuple[int, ...] = (0, 1000, 5000, 20_000, 90_000)
    """Documents; 0 is from scratch. Those of one seed are nested."""
    passes: float = 1.0
    """Over the documents, where passes are equal; where updates are, `tokens` says how many."""

    def factors(self) -> Mapping[str, Sequence[Any]]:
        """See `Study`."""
        return {
            "shape": self.shapes,
            "task": self.tasks,
            "arm": self.arms,
            "regime": (_UPDATES, _PASSES),
            "size": self.sizes,
        }

    def runs(self, levels: Levels, seed: int) -> Sequence[Run]:
        """See `Study`."""
        length = self.length if levels["regime"] == _UPDATES else Length(epochs=self.passes)
        arm = levels["arm"] if levels["size"] else SCRATCH
        start = self.start(arm, levels["shape"], seed, length=length, subset=Subset(levels["size"]))
        return [self.tuned(start, levels["task"], seed)]

    def findings(self, results: Results) -> Findings:
        """Points of accuracy for each doubling, the curves, and what is left at infinite size."""
        charts, rows = [], []
        by_doubling = {regime: self._by_doubling(results.where(regime=regime)) for regime in (_UPDATES, _PASSES)}
        for (shape, task), here in _parts(results, "shape", "task"):
            curves = []
            for (arm, regime), line in _parts(here, "arm", "regime"):
                curves.append(accuracy_curve(f"{arm}, {regime}", line, "size"))
                rows.append([shape, task, arm, regime, *self._fitted(line)])
            charts.append(
                Chart(f"{task}, {shape}", "documents of pre-training", "accuracy, %", curves, x_scale="symlog")
            )
        heads = ["shape", "task", "arm", "regime", "points a doubling", "accuracy at infinite size, %"]
        sentences = [
            f"each doubling of the documents adds {signed(found)} points of accuracy at {regime}"
            for regime, found in by_doubling.items()
            if found is not None
        ]
        means = results.table("accuracy", ("shape", "task", "arm", "regime"), "size")
        losses = results.table("pretraining_loss", ("shape", "arm", "regime"), "size", scale=1.0, digits=3)
        sizes = [f"{size:,}" for size in self.sizes]
        return Findings(
            sentence(sentences or ["nothing was measured at two sizes"]),
            [
                Section("Accuracy against size", charts=charts),
                Section(
                    "Fits",
                    [
                        "Points a doubling: least squares slope of accuracy on log2 of the documents, without size 0. "
                        "At infinite size: 100 - E of the fit E + c / n^a to the errors, unless that is below a "
                        "tenth of the least error. Both are fitted for each seed."
                    ],
                    [Table(heads, rows)],
                ),
                Section("Accuracy, %", tables=[Table(["shape, task, arm, regime", *sizes], means)]),
                Section("Loss on documents in no subset, nats", tables=[Table(["shape, arm, regime", *sizes], losses)]),
            ],
            " ".join(finding(f"Accuracy grows with size at {r}", found) for r, found in by_doubling.items())
            + (
                " At equal passes larger sets also have more updates, which is what the paper varies."
                if excludes_zero(by_doubling[_PASSES])
                else ""
            ),
        )

    def _by_doubling(self, results: Results) -> Interval | None:
        """Mean slope over shapes, tasks and arms, by seed."""
        slopes = [slopes_by_seed(line) for _, line in _parts(results, "shape", "task", "arm")]
        seeds = [seed for seed in self.seeds if slopes and all(seed in of_line for of_line in slopes)]
        means = [float(np.mean([of_line[seed] for of_line in slopes])) for seed in seeds]
        return t_interval(means) if means else None

    def _fitted(self, line: Results) -> tuple[str, str]:
        slopes = list(slopes_by_seed(line).values())
        errors = {seed: {n: POINTS - a for n, a in curve.items()} for seed, curve in curves_by_seed(line).items()}
        limit = accuracy_at_infinity({seed: curve for seed, curve in errors.items() if len(curve) > 2})
        return (signed(t_interval(slopes)) if slopes else "-"), limit


def curves_by_seed(line: Results) -> dict[int, dict[int, float]]:
    """Accuracy in per cent by size above 0, for each seed."""
    curves: dict[int, dict[int, float]] = {}
    for row in line.rows:
        if row["size"]:
            curves.setdefault(row[SEED], {})[row["size"]] = POINTS * row["accuracy"]
    return curves


def slopes_by_seed(line: Results) -> dict[int, float]:
    """Points of accuracy for each doubling of the documents, for each seed with two sizes above 0."""
    return {
        seed: float(np.polyfit([math.log2(n) for n in curve], list(curve.values()), 1)[0])
        for seed, curve in curves_by_seed(line).items()
        if len(curve) > 1
    }


def _parts(results: Results, *factors: str) -> Iterator[tuple[tuple[Any, ...], Results]]:
    for levels in results.levels(*factors):
        yield levels, results.where(**dict(zip(factors, levels, strict=True)))
