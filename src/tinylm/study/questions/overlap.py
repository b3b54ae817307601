"""Study `overlap`: does it help to pre-train on documents that have the task's tokens, and which overlap tells?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tinylm.core.errors import InputError
from tinylm.study.declaration import Findings, Study
from tinylm.study.grid import Facts, Levels
from tinylm.study.reporting.conclusions import POINTS, Comparison, corrected_together, finding, sentence
from tinylm.study.reporting.figures import IntervalChart, Point, ScatterChart
from tinylm.study.reporting.report import Section, Table
from tinylm.study.runs.arms import SCRATCH
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.overlap_runs import Overlapped, SameSettings
from tinylm.study.runs.run import Run
from tinylm.study.runs.subsets import Subset
from tinylm.study.statistics.intervals import Interval, rank_correlation
from tinylm.study.statistics.results import SEED, Results

_NONE, _RANDOM, _MOST, _LEAST = "none", "random", "most", "least"
_MEASURES = {"types": "by token type", "frequency": "weighted by frequency", "idf": "weighted by idf"}


@dataclass(frozen=True, kw_only=True)
class OverlapStudy(Study):
    """Subsets of equal size and length, and more or less overlap with the task."""

    name = "overlap"
    question = "Does it help to pre-train on documents that share tokens with the task, and which overlap predicts it?"
    paper = (
        "Tiny language models (arXiv 2507.14871) finds that the gap to from scratch grows with the share of the task's "
        "token types that occur in pre-training, and leaves overlap weighted by frequency, and small sets made for the "
        "task, open."
    )
    scales: ClassVar = {
        "smoke": {"documents": 60, "times": (2,), "kept_out": (0.5,), "arms": ("default",)},
        "paper": {"documents": 9000, "tokens": 250_000_000, "epochs": None},
    }

    preset: str = "bert-1"
    """Shape, at the study's width."""
    documents: int | None = 5000
    times: tuple[int, ...] = (2, 5, 10)
    """Sizes of larger random subsets, as multiples of `documents`, to set beside the one with most overlap."""
    kept_out: tuple[float, ...] = (0.25, 0.5, 0.75)
    """Shares of the task's token types that are replaced by [UNK] in a random subset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.documents is None:
            raise InputError("documents is none; the study `overlap` compares subsets, so give their size")

    def factors(self) -> Mapping[str, Sequence[Any]]:
        """See `Study`."""
        return {"task": self.tasks, "arm": self.arms, "subset": (_NONE, *self._choices("task"))}

    def runs(self, levels: Levels, seed: int) -> Sequence[Run]:
        """See `Study`."""
        task, name = levels["task"], levels["subset"]
        if name == _NONE:
            return [self.tuned(self.start(SCRATCH, self.preset, seed), task, seed)]
        subset = self._choices(task)[name]
        member = self.pretrained(levels["arm"], self.preset, seed, subset=subset)
        # The search is that of the random subset, so that what differs is pre-training alone.
        searched = self.tuned(replace(member, subset=Subset(self.documents)), task, seed)
        return [Overlapped(member, task), SameSettings(member, searched)]

    def measures(self, levels: Levels, seed: int, lab: Lab) -> Iterator[Facts]:
        """Overlap and accuracy."""
        shares = [lab.measured(run.facts(lab)) or {} for run in self.runs(levels, seed)[:-1]]
        for found in super().measures(levels, seed, lab):
            yield {**found, **(shares[0] if shares else {})}

    def findings(self, results: Results) -> Findings:
        """Differences between subsets, and rank correlations of each overlap with the gap."""
        subsets = [(_MOST, _RANDOM), (_LEAST, _RANDOM)]
        subsets += [(_MOST, f"random x {times}") for times in self.times]
        subsets += [(f"without {share:.0%}", _RANDOM) for share in self.kept_out]
        compared = corrected_together([Comparison.of(results, "subset", *pair) for pair in subsets])
        most, least = compared[:2]
        estimates = [e for c in compared for e in c.estimates(c.name, ("task", "arm"))]
        rows, points, correlations = [], [], dict[str, Interval]()
        for task, arm_name in results.levels("task", "arm"):
            pairs = _gaps(results.where(task=task, arm=arm_name))
            for measure, name in _MEASURES.items():
                found = _correlation([(row[f"overlap_{measure}"], gap) for row, gap in pairs])
                rows.append([task, arm_name, name, _shown(found)])
                if found:
                    correlations[f"{task}, {arm_name}, {name}"] = found
            points += [
                Point(f"{row['subset']}, seed {row[SEED]}", f"{task}, {arm_name}", row["overlap_frequency"], gap)
                for row, gap in pairs
            ]
        best = _best_measure(correlations)
        answers = [c.sentence() for c, (ours, _) in zip(compared, subsets, strict=True) if ours == _MOST]
        if best:
            answers.append(f"the overlap that predicts the gap best is the one {best}")
        return Findings(
            sentence(answers),
            [
                Section(
                    "Subsets compared",
                    charts=[IntervalChart("Accuracy by subset", "points of accuracy", estimates)] if estimates else [],
                    tables=[c.table() for c in compared if c.differences],
                ),
                Section(
                    "Overlap and gap",
                    [
                        "Spearman's rank correlation over subsets and seeds; the 95 % interval is Fisher's, and its "
                        "longer side is given."
                    ],
                    [Table(["task", "arm", "overlap", "rank correlation with the gap"], rows)],
                    [
                        ScatterChart(
                            "Gap against overlap weighted by frequency", "overlap", "points over from scratch", points
                        )
                    ]
                    if points
                    else [],
                ),
                Section(
                    "Accuracy, %",
                    tables=[
                        Table(
                            ["task, arm", *(str(name) for (name,) in results.levels("subset"))],
                            results.table("accuracy", ("task", "arm"), "subset"),
                        )
                    ],
                ),
            ],
            finding("Documents with most overlap beat random ones", most.overall)
            + " "
            + finding("Documents with least overlap lose to random ones", least.overall, positive=False),
        )

    def _choices(self, task: str) -> dict[str, Subset]:
        assert self.documents is not None
        return {
            _RANDOM: Subset(self.documents),
            _MOST: Subset(self.documents, "most", task),
            _LEAST: Subset(self.documents, "least", task),
            **{f"random x {times}": Subset(self.documents * times) for times in self.times},
            **{f"without {share:.0%}": Subset(self.documents, "without", task, share) for share in self.kept_out},
        }


def _gaps(results: Results) -> list[tuple[Mapping[str, Any], float]]:
    """Each row of a subset, with its points of accuracy over from scratch on the same seed."""
    scratch = results.where(subset=_NONE).values("accuracy")
    return [
        (row, POINTS * (row["accuracy"] - scratch[row[SEED]]))
        for row in results.rows
        if row["subset"] != _NONE and row[SEED] in scratch and "overlap_types" in row
    ]


def _correlation(pairs: Sequence[tuple[float, float]]) -> Interval | None:
    try:
        return rank_correlation([x for x, _ in pairs], [y for _, y in pairs])
    except InputError:
        return None


def _shown(found: Interval | None) -> str:
    return "-" if found is None else found.text(2)


def _best_measure(correlations: Mapping[str, Interval]) -> str:
    """The overlap whose mean correlation over tasks and arms is highest."""
    means = {
        name: sum(found) / len(found)
        for name in _MEASURES.values()
        if (found := [value.mean for key, value in correlations.items() if key.endswith(name)])
    }
    return max(means, key=means.__getitem__) + f" ({max(means.values()):.2f} in the mean)" if means else ""
