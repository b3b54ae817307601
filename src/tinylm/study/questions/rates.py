"""Study `rates`: with which learning rate and batch does an arm of pre-training learn in the time given?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tinylm.study.declaration import Findings, Study
from tinylm.study.grid import Facts, Levels
from tinylm.study.reporting.conclusions import sentence
from tinylm.study.reporting.figures import Estimate, IntervalChart
from tinylm.study.reporting.report import Section, Table
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.run import Run
from tinylm.study.statistics.results import Results


@dataclass(frozen=True, kw_only=True)
class Rates(Study):
    """Loss against learning rate and batch, at equal tokens."""

    name = "rates"
    question = "With which learning rate and batch does masked language modelling learn in the tokens that it has?"
    paper = "Tiny language models (arXiv 2507.14871) pre-trains at 5e-5 with batches of 32."
    scales: ClassVar = {"smoke": {"multiples": (0.5, 1.0), "batches": (8,), "seeds": (0, 1)}, "laptop": {"seeds": (0,)}}

    preset: str = "bert-1"
    """Shape, at the study's width."""
    arms: tuple[str, ...] = ("mlm",)
    multiples: tuple[float, ...] = (0.05, 0.25, 0.5, 1.0, 2.0, 4.0)
    """Learning rates, as multiples of the default one of the shape, which is 1e-3 for one layer of width 256."""
    batches: tuple[int, ...] = (32, 128)
    """Sequences an update."""

    def factors(self) -> Mapping[str, Sequence[Any]]:
        """See `Study`."""
        return {"arm": self.arms, "batch": self.batches, "rate": self.multiples}

    def runs(self, levels: Levels, seed: int) -> Sequence[Run]:
        """See `Study`."""
        changes = {"learning_rate": levels["rate"], "batch_size": levels["batch"]}
        return [self.pretrained(levels["arm"], self.preset, seed, **changes)]

    def measures(self, levels: Levels, seed: int, lab: Lab) -> Iterator[Facts]:
        """What was measured of the member, and its learning rate."""
        (run,) = self.runs(levels, seed)
        found = lab.measured(run.facts(lab))
        if found is not None:
            peak = self.pretrained(levels["arm"], self.preset, seed, learning_rate=levels["rate"]).settings(lab)
            yield {"learning_rate": peak.learning_rate, **found}

    def findings(self, results: Results) -> Findings:
        """The best rate and batch of each arm."""
        answers, estimates = [], []
        for arm, batch, rate in results.levels("arm", "batch", "rate"):
            mean = results.where(arm=arm, batch=batch, rate=rate).mean("loss")
            if mean is not None:
                estimates.append(Estimate(f"rate x {rate:g}", f"{arm}, batches of {batch}", mean))
        for (arm,) in results.levels("arm"):
            best = min(results.where(arm=arm).rows, key=lambda row: row["loss"])
            knowing = best["unigram_entropy"]
            answers.append(
                f"the arm {arm} has its lowest loss on held-out documents, {best['loss']:.3f} nats, at a rate of "
                f"{best['learning_rate']:.1e} ({best['rate']:g} times the default) with batches of {best['batch']}; "
                f"knowing token frequencies alone gives {knowing:.3f}"
            )
        table = Table(
            ["arm, batch", *(f"x {rate:g}" for rate in self.multiples)],
            results.table("loss", ("arm", "batch"), "rate", scale=1.0, digits=3),
        )
        chart = IntervalChart("Loss by rate and batch", "nats", estimates, zero=False)
        return Findings(
            sentence(answers or ["nothing was measured"]),
            [Section("Loss on documents in no subset", charts=[chart] if estimates else [], tables=[table])],
        )
