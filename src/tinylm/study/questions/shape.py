"""Study `shape`: which shallow shape is best after equal seconds of pre-training? A search by optuna."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from tinylm.core.errors import InputError
from tinylm.core.extras import needed
from tinylm.core.progress import Progress
from tinylm.core.seeds import derive_seed
from tinylm.study.declaration import Findings, Study
from tinylm.study.grid import Facts, Levels
from tinylm.study.reporting.conclusions import POINTS, sentence, signed
from tinylm.study.reporting.figures import Point, ScatterChart
from tinylm.study.reporting.report import Section, Table
from tinylm.study.runs.arms import Length
from tinylm.study.runs.assembled import Timed
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.run import Run
from tinylm.study.runs.tuned import Tuned
from tinylm.study.statistics.intervals import paired_difference
from tinylm.study.statistics.results import SEED, Results

_FRONT_ENDS = ("", "-dw3", "-dw5", "-c3x8")
_HEADS_OF = (8, 16, 32, 64)
"""Widths of a head."""


@dataclass(frozen=True)
class Trial(Run):
    """A shape that the search asks for, given what was measured of those before; the first one is `bert-1`."""

    alone = True
    study: "Shape"
    task: str
    number: int
    seed: int

    @property
    def title(self) -> str:
        """See `Run`."""
        return f"trial {self.number} of shapes on {self.task}, seed {self.seed}"

    def needs(self, lab: Lab) -> Sequence[Run]:
        """The trial before."""
        del lab
        return [replace(self, number=self.number - 1)] if self.number else []

    def facts(self, lab: Lab) -> Facts:
        """See `Run`; those of the member that a trial trains are known once it is asked for."""
        tuned = self.study.member("bert-1", self.task, self.seed)
        return {
            "kind": "trial",
            "edition": 1,
            "number": self.number,
            "first": tuned.typical().facts(lab),
            "widths": self.study.widths,
            "layers": self.study.layers,
            "rates": self.study.rates,
            "seconds": self.study.seconds,
        }

    def measure(self, lab: Lab, progress: Progress) -> Facts:
        """Ask, pre-train, fine-tune, time; the search maximises `validation`, accuracy on validation texts.

        Measured are `shape` and `parameters` of the search, and what fine-tuning and timing give.
        """
        parameters = self._asked(lab)
        shape = written_out(parameters) if self.number else "bert-1"
        tuned = self.study.member(shape, self.task, self.seed)
        measure = partial(_measured, lab=lab, progress=progress)
        for run in tuned.typical().needs(lab):
            measure(run)
        for run in tuned.search():
            measure(run)
        best = tuned.resolved(lab)
        assert best is not None
        found = measure(best)
        timed = measure(Timed((tuned,)))
        kept = {name: found[name] for name in ("accuracy", "validation", "cross_entropy", "rate")}
        times = {name: timed[name] for name in ("p50_ms", "texts_per_second", "megabytes")}
        return {"shape": shape, "parameters": parameters, **kept, **times}

    def _asked(self, lab: Lab) -> dict[str, Any]:
        optuna = needed("optuna", "The study `shape`")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=derive_seed(self.seed, "shapes", self.number) % 2**32)
        search = optuna.create_study(direction="maximize", sampler=sampler)
        space = self.study.space(optuna.distributions.CategoricalDistribution)
        for number in range(self.number):
            found = lab.measured(replace(self, number=number).facts(lab))
            if found is not None:
                trial = optuna.trial.create_trial(
                    params=found["parameters"], distributions=space, value=found["validation"]
                )
                search.add_trial(trial)
        if self.number == 0:
            search.enqueue_trial(self.study.first())
        asked: dict[str, Any] = search.ask(space).params
        return asked


@dataclass(frozen=True, kw_only=True)
class Shape(Study):
    """A search among shallow shapes."""

    name = "shape"
    question = "Which shallow shape is the most accurate after the same seconds of pre-training?"
    paper = "Tiny language models (arXiv 2507.14871) leaves the best shallow shape open."
    scales: ClassVar = {
        "smoke": {"trials": 3, "seconds": 0.3, "widths": (24, 48), "rates": (4.0,)},
        "paper": {"widths": (384, 768, 1536), "seconds": 1200.0},
    }

    tasks: tuple[str, ...] = ("fewrel",)
    arms: tuple[str, ...] = ("default",)
    trials: int = 20
    """Shapes that are tried, for each seed."""
    seconds: float = 120.0
    """Pre-training of each."""
    widths: tuple[int, ...] = (64, 96, 128, 192, 256, 384)
    """Hidden sizes."""
    layers: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.arms) != 1 or self.trials < 2:
            raise InputError("the study `shape` takes one arm and two trials or more; set arms and trials")
        if any(width % min(_HEADS_OF) for width in self.widths):
            raise InputError(f"widths are {self.widths}; give multiples of {min(_HEADS_OF)}")

    def factors(self) -> Mapping[str, Sequence[Any]]:
        """See `Study`."""
        return {"task": self.tasks, "trial": range(self.trials)}

    def runs(self, levels: Levels, seed: int) -> Sequence[Run]:
        """See `Study`."""
        return [Trial(self, levels["task"], levels["trial"], seed)]

    def measures(self, levels: Levels, seed: int, lab: Lab) -> Iterator[Facts]:
        """What was measured, with the parameters in columns of their own."""
        found = lab.measured(self.runs(levels, seed)[0].facts(lab))
        if found is not None:
            yield {**{k: v for k, v in found.items() if k != "parameters"}, **found["parameters"]}

    def member(self, shape: str, task: str, seed: int) -> Tuned:
        """A member of a shape, pre-trained for the seconds, with a search of its own."""
        start = self.pretrained(self.arms[0], shape, seed, length=Length(seconds=self.seconds))
        return replace(self.tuned(start, task, seed), search_seed=seed)

    def space(self, choice: Any) -> dict[str, Any]:
        """The distributions that the search draws from; `choice` makes one of several values."""
        return {
            "layers": choice(self.layers),
            "width": choice(self.widths),
            "head": choice(_HEADS_OF),
            "feed_forward": choice((1, 2, 4)),
            "front_end": choice(_FRONT_ENDS),
        }

    def first(self) -> dict[str, Any]:
        """The point of the space that is nearest to bert-1, which the first trial stands for."""
        width = min(self.widths, key=lambda width: abs(width - self.width))
        return {"layers": self.layers[0], "width": width, "head": 16, "feed_forward": 4, "front_end": ""}

    def findings(self, results: Results) -> Findings:
        """The best shape of each seed by validation, its test accuracy against that of bert-1."""
        rows, points, answers = [], [], []
        for (task,) in results.levels("task"):
            ours, first = dict[int, float](), dict[int, float]()
            for seed in self.seeds:
                tried = list(results.where(task=task, **{SEED: seed}).rows)
                points += [
                    Point(row["shape"], f"{task}, seed {seed}", row["p50_ms"], POINTS * row["accuracy"])
                    for row in tried
                ]
                if not tried:
                    continue
                ranked = sorted(tried, key=lambda row: (-row["validation"], row["cross_entropy"]))
                ours[seed] = POINTS * ranked[0]["accuracy"]
                first.update((seed, POINTS * row["accuracy"]) for row in tried if row["trial"] == 0)
                rows += [_cells(task, seed, row) for row in ranked[:5]]
            gain = paired_difference(ours, first)
            if gain is not None:
                answers.append(
                    f"on {task} the best of {self.trials} shapes by validation has {signed(gain)} points of test "
                    f"accuracy over bert-1, after {self.seconds:g} s of pre-training each"
                )
        heads = ["task", "seed", "shape", "validation, %", "test, %", "ms a text"]
        chart = ScatterChart(
            "Accuracy against time of an answer", "median time of a text, ms", "accuracy, %", points, log_x=True
        )
        return Findings(
            sentence(answers or ["nothing was measured of both the best shape and bert-1"]),
            [
                Section(
                    "Shapes",
                    [
                        "l: layers, w: width, h: heads, f: feed-forward, in widths; dw: depthwise convolution "
                        "over so many tokens, c: 2-D convolution, kernel x channels. The five best of each "
                        "seed by validation."
                    ],
                    [Table(heads, rows)],
                    [chart] if points else [],
                ),
            ],
        )


def written_out(parameters: Mapping[str, Any]) -> str:
    """The name of the shape of a point of the space; heads that the width has no room for are fewer."""
    width = parameters["width"]
    heads = max(1, width // parameters["head"])
    while width % heads:
        heads -= 1
    return f"l{parameters['layers']}-w{width}-h{heads}-f{parameters['feed_forward']}{parameters['front_end']}"


def _measured(run: Run, *, lab: Lab, progress: Progress) -> Facts:
    return lab.store.measure(run.facts(lab), partial(run.measure, lab, progress))


def _cells(task: str, seed: int, row: Mapping[str, Any]) -> list[str]:
    shares = (f"{POINTS * row[name]:.1f}" for name in ("validation", "accuracy"))
    return [task, str(seed), row["shape"], *shares, f"{row['p50_ms']:.2f}"]
