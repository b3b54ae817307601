"""Study `latency`: accuracy against time and size, of our models and of what a user would pick instead."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tinylm.core.errors import InputError
from tinylm.study.declaration import Findings, Study
from tinylm.study.grid import Facts, Levels
from tinylm.study.reporting.conclusions import POINTS, sentence
from tinylm.study.reporting.figures import Point, ScatterChart
from tinylm.study.reporting.report import Section, Table
from tinylm.study.runs.assembled import Timed
from tinylm.study.runs.lab import Lab, Sample
from tinylm.study.runs.run import Run
from tinylm.study.runs.timed_baselines import BASELINES, TFIDF, TimedBaseline
from tinylm.study.statistics.results import Results

_AS_IT_IS = "as it is"
_FRONTIER, _BEATEN = "on the frontier", "beaten in both"


@dataclass(frozen=True, kw_only=True)
class Latency(Study):
    """Accuracy against time and size."""

    name = "latency"
    question = "What should I use: which classifier is the most accurate in the time and the space that I have?"
    paper = (
        "Tiny language models (arXiv 2507.14871) proposes committees of shallow models for their low latency, on "
        "parallel hardware; here one thread computes all members."
    )
    scales: ClassVar = {"smoke": {"models": ("bert-6", "bert-1", "bert-1 x 2")}}

    arms: tuple[str, ...] = ("default",)
    models: tuple[str, ...] = ("bert-6", "bert-1", "bert-1 x 2", "bert-1 x 4", "bert-1 x 8", "bert-1-8h x 4")
    """Shapes, with the number of members of a committee after x."""
    weights: tuple[str, ...] = ("float32", "int8")
    """Of exported models."""
    baselines: tuple[str, ...] = (TFIDF,)
    """`tf-idf + linear SVM`; of the `bench` extra `fastText`, `MiniLM + regression`, `model2vec + regression`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for given, known in ((self.baselines, tuple(BASELINES)), (self.weights, ("float32", "int8", "int4"))):
            unknown = next((name for name in given if name not in known), None)
            if unknown is not None:
                raise InputError(f"{unknown!r} is not known; choose from {', '.join(known)}")

    def factors(self) -> Mapping[str, Sequence[Any]]:
        """See `Study`."""
        names = [f"{model}, {arm}" for arm in self.arms for model in self.models]
        return {
            "task": self.tasks,
            "model": (*names, *self.baselines),
            "weights": (*self.weights, *((_AS_IT_IS,) if self.baselines else ())),
        }

    def includes(self, levels: Levels) -> bool:
        """Baselines have no choice of weights."""
        return bool((levels["model"] in self.baselines) == (levels["weights"] == _AS_IT_IS))

    def runs(self, levels: Levels, seed: int) -> Sequence[Run]:
        """See `Study`."""
        task, model = levels["task"], levels["model"]
        if model in self.baselines:
            return [TimedBaseline(model, Sample(task, None, self.validation, self.test), seed)]
        team, _, arm = model.rpartition(", ")
        shape, _, count = team.partition(" x ")
        members = tuple(
            self.tuned(self.start(arm, shape, seed, index=index), task, seed, index=index)
            for index in range(int(count or 1))
        )
        return [*members, Timed(members, levels["weights"])]

    def measures(self, levels: Levels, seed: int, lab: Lab) -> Iterator[Facts]:
        """What was timed."""
        found = lab.measured(self.runs(levels, seed)[-1].facts(lab))
        if found is not None:
            yield found

    def findings(self, results: Results) -> Findings:
        """The frontier of each task: models that no other beats in both accuracy and time."""
        charts, rows, answers = [], [], []
        for (task,) in results.levels("task"):
            found = [
                _Measured.of(results.where(task=task, model=m, weights=w), m, w)
                for m, w in results.where(task=task).levels("model", "weights")
            ]
            frontier = [one for one in found if not any(other.beats(one) for other in found)]
            frontier.sort(key=lambda one: one.p50_ms)
            points = [
                Point(one.name, _FRONTIER if one in frontier else _BEATEN, one.p50_ms, one.accuracy, named=True)
                for one in found
            ]
            charts.append(
                ScatterChart(
                    f"{task}: accuracy against time of an answer",
                    "median time of a text, ms",
                    "accuracy, %",
                    points,
                    log_x=True,
                )
            )
            rows += [
                [task, *one.cells(), "yes" if one in frontier else ""] for one in sorted(found, key=lambda o: o.p50_ms)
            ]
            best, quickest = frontier[-1], frontier[0]
            answers.append(
                f"on {task} the most accurate is {best.name} with {best.shown} % at {best.p50_ms:.2f} ms a text, and "
                f"the quickest {quickest.name} with {quickest.shown} % at {quickest.p50_ms:.2f} ms"
            )
        return Findings(
            sentence(answers),
            [
                Section("Frontier", charts=charts),
                Section(
                    "All models",
                    ["One thread. Time: median of single texts, tokenising included; texts a second: of many at once."],
                    [Table(["task", "model", "accuracy, %", "ms a text", "texts/s", "MB", "frontier"], rows)],
                ),
            ],
        )


@dataclass(frozen=True)
class _Measured:
    """Means over seeds of one model."""

    name: str
    accuracy: float
    shown: str
    p50_ms: float
    texts_per_second: float
    megabytes: float

    @classmethod
    def of(cls, rows: Results, model: str, weights: str) -> "_Measured":
        accuracy = rows.mean("accuracy", scale=POINTS)
        others = [rows.mean(measure) for measure in ("p50_ms", "texts_per_second", "megabytes")]
        assert accuracy is not None
        name = model if weights == _AS_IT_IS else f"{model}, {weights}"
        return cls(name, accuracy.mean, str(accuracy), *(other.mean for other in others if other is not None))

    def beats(self, other: "_Measured") -> bool:
        """Whether it is at least as good in accuracy and time, and better in one."""
        ours, theirs = (self.accuracy, -self.p50_ms), (other.accuracy, -other.p50_ms)
        return ours != theirs and ours[0] >= theirs[0] and ours[1] >= theirs[1]

    def cells(self) -> list[str]:
        """Of a table."""
        return [self.name, self.shown, f"{self.p50_ms:.2f}", f"{self.texts_per_second:,.0f}", f"{self.megabytes:.1f}"]
