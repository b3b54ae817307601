"""Contenders that take turns: each in a process of its own, one round after another, so that all see the same machine.

A contender is a command that this file starts, and that reports through `Pacer`: "ready" after its warm-up, then one
line of JSON for each round it is told to begin. While one works the others sleep. Memory is the process's own peak
(`ru_maxrss`), imports included. Processor time stands beside the wall clock: where other work shares the cores, its
ratios on one thread (`--threads 1`) hold still when those of the clock do not.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import IO, Any

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


class Pacer:
    """The contender's side: counts updates, and stops after each round until the next begins.

    Args:
        warmup: updates before the first round.
        steps: updates a round.
        rounds: how many rounds.
    """

    def __init__(self, warmup: int, steps: int, rounds: int) -> None:
        self.updates = warmup + steps * rounds
        self._warmup, self._steps = warmup, steps
        self._made, self._amount, self._start, self._worked = 0, 0, 0.0, 0.0
        self._out = sys.stdout
        # Whatever libraries print must not look like a report.
        sys.stdout = sys.stderr
        if warmup == 0:
            self._pause({"ready": True})

    def after_update(self, amount: int) -> None:
        """To be called after each update.

        Args:
            amount: what the update worked on: real tokens, or texts.
        """
        self._made += 1
        self._amount += amount
        if self._made < self._warmup or (self._made - self._warmup) % self._steps:
            return
        if self._made == self._warmup:
            self._pause({"ready": True})
            return
        seconds = time.perf_counter() - self._start
        self._pause({"seconds": seconds, "processor": time.process_time() - self._worked, "amount": self._amount})

    def _pause(self, report: dict[str, Any]) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**report, "peak_mb": peak}), file=self._out, flush=True)
        if self._made < self.updates and not sys.stdin.readline():
            raise SystemExit("the benchmark was stopped")
        self._amount, self._start, self._worked = 0, time.perf_counter(), time.process_time()


@dataclass
class Result:
    """What one contender did.

    Attributes:
        name: for the table.
        rates: amount a second, of each round.
        processor_rates: amount a second of processor time, over all threads.
        loads: the machine's load when each round began: what else was running.
        peak_mb: largest memory of its process, MiB.
    """

    name: str
    rates: list[float] = field(default_factory=list)
    processor_rates: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    peak_mb: float = 0.0

    @property
    def rate(self) -> float:
        """The median."""
        return median(self.rates)


def alternate(commands: dict[str, Sequence[str]], rounds: int, threads: int) -> list[Result]:
    """Start every contender, then let them take turns; the first to go changes from round to round.

    Args:
        commands: arguments to this Python, by the name of the contender.
        rounds: how many each.
        threads: that each may use.

    Raises:
        RuntimeError: a contender ended early.
    """
    results = {name: Result(name) for name in commands}
    processes = {}
    environment = os.environ | {name: str(threads) for name in _THREADS}
    try:
        for name, command in commands.items():
            processes[name] = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            _report(processes[name], name)
        names = list(commands)
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                results[name].loads.append(os.getloadavg()[0])
                _pipe(processes[name].stdin).write("go\n")
                _pipe(processes[name].stdin).flush()
                report = _report(processes[name], name)
                results[name].rates.append(report["amount"] / report["seconds"])
                results[name].processor_rates.append(report["amount"] / report["processor"])
                results[name].peak_mb = report["peak_mb"]
    finally:
        for process in processes.values():
            _end(process)
    return list(results.values())


def _end(process: subprocess.Popen[str]) -> None:
    """Let a contender finish by itself; one that works on is killed."""
    _pipe(process.stdin).close()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _report(process: subprocess.Popen[str], name: str) -> dict[str, Any]:
    line = _pipe(process.stdout).readline()
    if not line:
        raise RuntimeError(f"{name} ended early; its message is above")
    report: dict[str, Any] = json.loads(line)
    return report


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the contender was started without pipes")
    return pipe


def show(title: str, unit: str, results: Sequence[Result]) -> None:
    """Print a table in Markdown; the ratio is the first contender's rate over each one's, median over rounds.

    A ratio compares rounds that stand side by side, so that what else the machine does slows both.
    """
    print(f"\n**{title}**\n", flush=True)
    print(f"| | {unit}/s, median | min to max | {results[0].name} is faster by | by processor time | peak memory |")
    print("|---|--:|--:|--:|--:|--:|")
    for result in results:
        spread = f"{min(result.rates):,.0f} to {max(result.rates):,.0f}"
        ratio = _ratio(results[0].rates, result.rates)
        worked = _ratio(results[0].processor_rates, result.processor_rates)
        memory = f"{result.peak_mb:,.0f} MB"
        print(f"| {result.name} | {result.rate:,.0f} | {spread} | {ratio} | {worked} | {memory} |", flush=True)


def _ratio(first: Sequence[float], other: Sequence[float]) -> str:
    ratios = [ours / theirs for ours, theirs in zip(first, other, strict=True)]
    return f"{median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"


def write(path: Path, name: str, unit: str, results: Sequence[Result], threads: int) -> None:
    """Add the numbers to a JSON file, with the machine they come from; a benchmark's last run is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    stored[name] = {
        "unit": f"{unit}/s",
        "threads": threads,
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": machine(),
        "results": [{**asdict(result), "median": result.rate} for result in results],
    }
    path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def machine(packages: Sequence[str] = ("torch", "transformers", "tokenizers")) -> dict[str, Any]:
    """Processor, threads, and versions of the packages that are installed."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **_versions(packages),
    }


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
