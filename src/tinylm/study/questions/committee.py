"""Study `committee`: a committee of one-layer models against one of six layers, by its number of members."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinylm.committee.voting import accuracy_by_size, vote
from tinylm.study.declaration import Findings, Study
from tinylm.study.grid import Facts, Levels
from tinylm.study.reporting.charts import Chart, Reference
from tinylm.study.reporting.conclusions import (
    POINTS,
    Comparison,
    accuracy_at_infinity,
    accuracy_curve,
    corrected_together,
    finding,
    sentence,
    signed,
)
from tinylm.study.reporting.report import Section, Table
from tinylm.study.runs.arms import SCRATCH, Length
from tinylm.study.runs.assembled import Distilled
from tinylm.study.runs.finetuned import scores
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.run import Run
from tinylm.study.runs.tuned import Tuned
from tinylm.study.statistics.intervals import Interval, paired_difference
from tinylm.study.statistics.results import SEED, Results
from tinylm.study.statistics.votes import SUBSETS, error_correlation, hard_votes

_TOKENS = "equal tokens a member"


@dataclass(frozen=True, kw_only=True)
class Committee(Study):
    """Committees of one-layer models against one of six layers."""

    name = "committee"
    question = "Does a soft committee of one-layer models reach a six-layer model, and how many members does it take?"
    paper = (
        "Tiny language models (arXiv 2507.14871) finds that a soft committee of independently pre-trained BERT-1s and "
        "their variants reaches the accuracy of BERT-6."
    )
    scales: ClassVar = {
        "smoke": {
            "members": 3,
            "teams": ("bert-1", "bert-1+bert-1-8h"),
            "arms": ("default",),
            "seconds": 0.5,
            "split": (1, 2),
        },
        "paper": {"members": 8},
    }

    deep: str = "bert-6"
    """Shape that the committees are set against, one member of it."""
    teams: tuple[str, ...] = ("bert-1", "bert-1+bert-1-24h+bert-1-8h+bert-1-conv2-k3-d64")
    """Shapes of the members of a committee, which take turns; with + between them."""
    members: int = 12
    """Of the largest committee, where all have the same number of tokens."""
    students: tuple[str, ...] = ("bert-1",)
    """Teams whose largest pre-trained committees are also distilled into one member each, with equal tokens."""
    seconds: float | None = None
    """Pre-training of all members together, where committees are compared at equal seconds; left out when none."""
    split: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of members that these seconds are shared by."""

    def factors(self) -> Mapping[str, Sequence[Any]]:
        """See `Study`."""
        regimes = [_TOKENS, *(_shared(count) for count in self.split if self.seconds is not None)]
        return {
            "task": self.tasks,
            "arm": (*self.arms, SCRATCH),
            "regime": regimes,
            "team": (self.deep, *self.teams),
        }

    def includes(self, levels: Levels) -> bool:
        """From scratch there are no seconds of pre-training to share."""
        return bool(levels["regime"] == _TOKENS or levels["arm"] != SCRATCH)

    def runs(self, levels: Levels, seed: int) -> Sequence[Run]:
        """The members, and their student where there is one."""
        members = self._members(levels, seed)
        if levels["team"] not in self.students or levels["regime"] != _TOKENS or levels["arm"] == SCRATCH:
            return members
        return [*members, Distilled(members, self.updates, self.precision)]

    def _members(self, levels: Levels, seed: int) -> tuple[Tuned, ...]:
        shapes = levels["team"].split("+")
        count, length = self.members, self.length
        if levels["regime"] != _TOKENS:
            assert self.seconds is not None
            count = next(count for count in self.split if _shared(count) == levels["regime"])
            # The deep model has all the seconds to itself, whatever number of members it is set against.
            length = Length(seconds=self.seconds / (1 if levels["team"] == self.deep else count))
        if levels["team"] == self.deep:
            count = 1
        members = []
        for index in range(count):
            shape = shapes[index % len(shapes)]
            start = self.start(levels["arm"], shape, seed, index=index, length=length)
            members.append(self.tuned(start, levels["task"], seed, index=index))
        return tuple(members)

    def measures(self, levels: Levels, seed: int, lab: Lab) -> Iterator[Facts]:
        """A row for each number of members, the mean over committees of so many; of the last, what is of all."""
        members = self._members(levels, seed)
        if any(lab.measured(run.facts(lab)) is None for run in members):
            return
        stored = [lab.votes(run.facts(lab)) for run in members]
        votes, labels = np.stack([each["test"] for each in stored]), stored[0]["labels"].astype(np.int64)
        last = self.runs(levels, seed)[-1]
        student = (lab.measured(last.facts(lab)) or {}) if isinstance(last, Distilled) else {}
        hard = accuracy_by_size(hard_votes(votes), labels, max_subsets=SUBSETS)
        for size, counted in zip(accuracy_by_size(votes, labels, max_subsets=SUBSETS), hard, strict=True):
            first = votes[: size.size]
            yield {
                "members": size.size,
                "accuracy": size.mean,
                "hard": counted.mean,
                "cross_entropy": scores(vote(first), labels)["cross_entropy"],
                "calibration_error": scores(vote(first), labels)["calibration_error"],
                "error_correlation": error_correlation(first, labels) if size.size > 1 else None,
                "student": student.get("accuracy") if size.size == len(members) else None,
            }

    def findings(self, results: Results) -> Findings:
        """The largest committees against the deep model; curves, their limits; the parts of the gain."""
        largest = Results([row for row in results.rows if row["members"] == _largest(results, row)], results.factors)
        pretrained = Results([row for row in largest.rows if row["arm"] != SCRATCH], results.factors)
        pairs = [(team, regime) for team in self.teams for (regime,) in pretrained.levels("regime")]
        compared = [Comparison.of(pretrained.where(regime=regime), "team", team, self.deep) for team, regime in pairs]
        against = dict(zip(pairs, corrected_together(compared), strict=True))
        charts, limits = [], []
        for task, arm in results.levels("task", "arm"):
            here = results.where(task=task, arm=arm, regime=_TOKENS)
            deep = here.where(team=self.deep).mean("accuracy", scale=POINTS)
            curves = [accuracy_curve(team, here.where(team=team), "members") for team in self.teams]
            curves = [curve for curve in curves if curve.points]
            if curves:
                level = None if deep is None else Reference(self.deep, deep.mean)
                charts.append(Chart(f"{task}, {arm}", "members", "accuracy, %", curves, level))
            limits += [[task, arm, team, *_limit(here.where(team=team))] for team in self.teams]
        return Findings(
            sentence(
                [
                    f"{comparison.sentence()} (committees of {self.members}, {_TOKENS})"
                    for (_, regime), comparison in against.items()
                    if regime == _TOKENS
                ]
            ),
            [
                Section("Accuracy against members", charts=charts),
                Section("Committees against the deep model", tables=list(_tables_by_team(against))),
                Section(
                    "Where it levels off",
                    [
                        "At infinitely many members: 100 - E of the fit E + c / K^a to the errors of 1 to K members, "
                        "for each seed, unless that is below a tenth of the least error."
                    ],
                    [Table(["task", "arm", "team", "largest", "accuracy, %", "at infinitely many members, %"], limits)],
                ),
                Section(
                    "What comes of voting, and what of pre-training",
                    tables=[
                        Table(
                            ["task", "team", "arm", "voting adds, points", "pre-training adds to the committee"],
                            list(self._parts(results)),
                        )
                    ],
                ),
                Section(
                    "Of the largest committees",
                    [
                        "Soft votes average probabilities, hard ones count classes. The student is one member that "
                        "learnt to predict what the committee does. Correlation: of two members' errors."
                    ],
                    [Table(_MEASURES_HEAD, list(_measures_rows(largest)))],
                ),
            ],
            " ".join(
                finding(f"A committee of {team} is better than {self.deep} at {regime}", comparison.overall)
                for (team, regime), comparison in against.items()
            ),
        )

    def _parts(self, results: Results) -> Iterator[list[str]]:
        for task, team, arm in results.where(regime=_TOKENS).levels("task", "team", "arm"):
            here = results.where(task=task, team=team, regime=_TOKENS)
            if team == self.deep:
                continue
            ours, scratch = here.where(arm=arm), here.where(arm=SCRATCH)
            most = max(row["members"] for row in ours.rows)
            voting = paired_difference(
                ours.where(members=most).values("accuracy", scale=POINTS),
                ours.where(members=1).values("accuracy", scale=POINTS),
            )
            pretraining = paired_difference(
                ours.where(members=most).values("accuracy", scale=POINTS),
                scratch.where(members=most).values("accuracy", scale=POINTS),
            )
            yield [task, team, arm, signed(voting) if voting else "-", _or_dash(pretraining, arm)]


_MEASURES_HEAD = [
    *("task", "arm", "regime", "team"),
    *("soft, %", "hard, %", "student, %", "calibration error", "correlation of errors"),
]


def _tables_by_team(against: Mapping[tuple[str, str], Comparison]) -> Iterator[Table]:
    for team in dict.fromkeys(team for team, _ in against):
        tables = [comparison.table() for (one, _), comparison in against.items() if one == team]
        measured = [table for table in tables if table.rows]
        if measured:
            yield Table(measured[0].columns, [row for table in measured for row in table.rows])


def _shared(count: int) -> str:
    return f"equal seconds in all, {count} member(s)"


def _largest(results: Results, row: Mapping[str, Any]) -> int:
    alike = results.where(**{factor: row[factor] for factor in (*results.factors, SEED)})
    return max(int(other["members"]) for other in alike.rows)


def _or_dash(interval: Interval | None, arm: str) -> str:
    return "-" if interval is None or arm == SCRATCH else signed(interval)


def _limit(line: Results) -> tuple[str, str, str]:
    errors: dict[int, dict[int, float]] = {}
    for row in line.rows:
        errors.setdefault(row[SEED], {})[row["members"]] = POINTS * (1 - row["accuracy"])
    if not errors:
        return "-", "-", "-"
    most = max(max(curve) for curve in errors.values())
    last = line.where(members=most).mean("accuracy", scale=POINTS)
    return str(most), str(last), accuracy_at_infinity(errors)


def _measures_rows(largest: Results) -> Iterator[list[str]]:
    for levels in largest.levels("task", "arm", "regime", "team"):
        here = largest.where(**dict(zip(("task", "arm", "regime", "team"), levels, strict=True)))
        shares = (here.mean(name, scale=POINTS) for name in ("accuracy", "hard", "student"))
        calibration, correlation = (here.mean(name) for name in ("calibration_error", "error_correlation"))
        yield [
            *levels,
            *(str(share or "-") for share in shares),
            "-" if calibration is None else calibration.text(3),
            "-" if correlation is None else correlation.text(2),
        ]
