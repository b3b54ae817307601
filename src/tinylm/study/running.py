"""Running a study: what is to be done, in which order, how long it takes, and how far it is.

Runs that need nothing undone go first, then those that need these, and so on; those of one round go side by side where
cores allow. Each result is stored when it is measured, so that killing a study loses what is in flight, of which
training keeps checkpoints.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tinylm.core.progress import Progress
from tinylm.steps.side_by_side import run_side_by_side
from tinylm.study.costs import seconds_of_run
from tinylm.study.declaration import Study
from tinylm.study.grid import FailedRunError
from tinylm.study.on_ray import run_on_ray
from tinylm.study.pace import Quiet, StudyProgress, duration
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.pretrained import Pretrained
from tinylm.study.runs.run import Run, name_of
from tinylm.study.statistics.results import SEED, Results

_SHORT_SECONDS = 15.0
"""A round that is estimated to take less is done in this process."""
_LEAST_SECONDS = 0.1
"""That any run counts for, of which no estimate is known."""


@dataclass(frozen=True)
class Plan:
    """The runs of a study."""

    runs: Sequence[Run]
    """Every run once, those of searches included; a run whose settings a search will find stands for itself."""
    pending: Sequence[Run]
    """Those that are not stored."""
    seconds: dict[Run, float] = field(default_factory=dict)
    """How long each pending run is estimated to take, one at a time."""

    def lines(self) -> Iterator[str]:
        """The plan for people."""
        kinds = Counter(_kind(run) for run in self.pending)
        for run in self.pending:
            yield f"{self.seconds.get(run, 0.0):8,.0f} s  {run.title}"
        of_each = ", ".join(f"{count:,} of {kind}" for kind, count in kinds.items())
        done = len(self.runs) - len(self.pending)
        yield f"{len(self.runs):,} runs, {done:,} of them stored; to run: {of_each or 'nothing'}"
        yield f"estimated time, one after another: {duration(sum(self.seconds.values()))}"


def plan(study: Study, lab: Lab, progress: Progress) -> Plan:
    """List the runs of a study, and estimate how long those will take that are not stored.

    Args:
        study: what is asked.
        lab: where runs are made.
        progress: receives the stages of reading text and of the calibration.

    Raises:
        InputError: data that is not there, or settings that contradict each other.
    """
    lab.prepare(study.text, progress)
    found: dict[Run, None] = {}
    for levels, seed in study.cells():
        for run in study.runs(levels, seed):
            collect(run, lab, found)
    for run in found:
        if isinstance(run, Pretrained):
            run.subset.require(lab.tokens(run.text))
    pending = [run for run in found if not _is_done(run, lab)]
    progress.start("timing some updates of each kind", len(pending), "runs")
    seconds = {}
    for number, run in enumerate(pending, start=1):
        seconds[run] = seconds_of_run(run, lab)
        progress.update(number)
    progress.finish()
    return Plan(list(found), pending, seconds)


def run_study(lab: Lab, planned: Plan, progress: Progress, *, ray: bool = False) -> dict[str, str]:
    """Do what is not stored yet.

    Args:
        lab: where runs are made; its store says whether failed runs are tried again.
        planned: the runs.
        progress: receives how far it is.
        ray: do them as tasks of a Ray cluster; runs that go alone are still done here.

    Returns:
        The reasons of runs that failed, or could not be begun since one that they need failed, by their titles.

    Raises:
        InputError: bad data.
        InterruptedByUserError: Ctrl-C or SIGTERM came.
    """
    shown, tried = StudyProgress(progress, planned.seconds, len(planned.runs)), set[str]()
    while ready := _ready(planned.runs, lab, tried):
        for together in _rounds(ready):
            jobs = [partial(_do, run, lab) for run in together.values()]
            seconds = [max(_LEAST_SECONDS, planned.seconds.get(run, 0.0)) for run in together]
            alone = any(run.alone for run in together)
            shown.begin([run for run in planned.pending if not _is_done(run, lab)], len(together), alone=alone)
            if ray and not alone:
                run_on_ray(jobs, shown)
            else:
                short = alone or sum(seconds) < _SHORT_SECONDS
                run_side_by_side("runs", "runs", jobs, shown, short=short, seconds=seconds)
        tried.update(name_of(run, lab) for run in ready.values())
    return dict(_failures(planned.runs, lab))


def results_of(study: Study, lab: Lab) -> Results:
    """The rows of all cells that are measured."""
    rows = []
    for levels, seed in study.cells():
        try:
            rows += [{**levels, SEED: seed, **measured} for measured in study.measures(levels, seed, lab)]
        # A search that failed, or is not done.
        except (FailedRunError, LookupError):
            continue
    return Results(rows, tuple(study.factors()))


def _do(run: Run, lab: Lab, progress: Progress) -> None:
    """Measure a run and store it; one that fails is stored with its reason."""
    began = time.perf_counter()
    try:
        found = lab.store.measure(run.facts(lab), partial(run.measure, lab, Quiet(progress, run.title)))
    except FailedRunError as error:
        progress.say(f"warning: {run.title} failed: {error}")
        return
    shown = next((f", {name} {found[name]:.3f}" for name in ("accuracy", "loss") if name in found), "")
    progress.say(f"{run.title}: {duration(time.perf_counter() - began)}{shown}")


def collect(run: Run, lab: Lab, found: dict[Run, None]) -> None:
    """Add a run with all that it needs to `found`, each once."""
    if run in found:
        return
    for need in run.needs(lab):
        collect(need, lab, found)
    if not run.repeats_a_need:
        found[run] = None


def _is_done(run: Run, lab: Lab) -> bool:
    try:
        resolved = run.resolved(lab)
    except FailedRunError:
        return True
    if resolved is None:
        return False
    entry = lab.store.find(name_of(resolved, lab))
    return entry is not None and ("measured" in entry or not lab.store.retry)


def _ready(runs: Iterable[Run], lab: Lab, tried: set[str]) -> dict[Run, Run]:
    """Planned runs to be done whose needs are all measured, and what each stands for."""
    ready: dict[str, tuple[Run, Run]] = {}
    for run in runs:
        try:
            resolved = run.resolved(lab)
        except FailedRunError:
            continue
        if resolved is None or _is_done(resolved, lab):
            continue
        name = name_of(resolved, lab)
        if name not in tried and all(lab.measured(need.facts(lab)) for need in resolved.needs(lab)):
            ready.setdefault(name, (run, resolved))
    return dict(ready.values())


def _rounds(ready: Mapping[Run, Run]) -> Iterator[dict[Run, Run]]:
    """Those that may go side by side together, then those that go alone one by one."""
    together = {run: resolved for run, resolved in ready.items() if not run.alone}
    if together:
        yield together
    yield from ({run: resolved} for run, resolved in ready.items() if run.alone)


def _failures(runs: Iterable[Run], lab: Lab) -> Iterator[tuple[str, str]]:
    for run in runs:
        try:
            resolved = run.resolved(lab)
        except FailedRunError as error:
            yield run.title, str(error)
            continue
        entry = None if resolved is None else lab.store.find(name_of(resolved, lab))
        if entry is None:
            yield run.title, "what it needs failed"
        elif "failed" in entry:
            yield run.title, entry["failed"]


def _kind(run: Run) -> str:
    name = type(run.typical()).__name__
    return {"Pretrained": "pre-training", "Finetuned": "fine-tuning"}.get(name, name.lower())
