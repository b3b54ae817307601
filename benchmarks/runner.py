"""The runner of all comparisons: every subject in a process of its own, one at work while the others wait.

The benchmark sends a subject one line of JSON for each action (`Subject.request`); the subject answers with one line:
the value of the action, the wall-clock and processor time it took, and the peak memory of the process (`Report`).
Rounds alternate between subjects, so that all see the same machine. Processor time stands beside the wall clock:
where other work shares the cores, ratios of processor time on one thread hold still when those of the clock do not.

A subject that is called, like a classifier, offers its actions through `serve`. A subject that runs a loop of its own,
like training, counts its updates through `Pacer`, which stops the loop between rounds.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
_SECONDS_TO_FINISH = 60


@dataclass(frozen=True)
class Report:
    """What a subject sends back after an action."""

    value: Any
    """What the action returned."""
    seconds: float
    """Wall-clock time of the action."""
    processor_seconds: float
    """Processor time of the action, summed over all threads of the process."""
    peak_mb: float
    """Largest memory of the process so far, imports included, in 10^6 bytes."""


# The benchmark's side.


class Subject:
    """A process that is measured.

    Args:
        name: for tables and messages.
        command: arguments to this Python.
        threads: that it may use.

    Raises:
        RuntimeError: it ended before it was ready.
    """

    def __init__(self, name: str, command: Sequence[str], threads: int) -> None:
        self.name = name
        with pinned(threads):
            self._process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment(threads),
            )
        self._read()

    def request(self, action: str, **details: Any) -> Report:
        """Have it do something, and wait for its report.

        Raises:
            RuntimeError: it ended instead.
        """
        print(json.dumps({"action": action, **details}), file=_pipe(self._process.stdin), flush=True)
        return self._read()

    def close(self) -> None:
        """Let it finish by itself; one that goes on is killed."""
        # The pipe of a process that failed breaks when the last request is flushed.
        with suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()
        try:
            self._process.wait(_SECONDS_TO_FINISH)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> Report:
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"{self.name} ended early; its message is above")
        return Report(**json.loads(line))


@contextmanager
def running(commands: Mapping[str, Sequence[str]], threads: int) -> Iterator[list[Subject]]:
    """Start subjects one after another, and end them with the block; one that cannot start is left out, with a line."""
    with ExitStack() as stack:
        started = []
        for name, command in commands.items():
            try:
                subject = Subject(name, command, threads)
            except RuntimeError as error:
                print(f"{name} is left out: {error}", flush=True)
                continue
            stack.callback(subject.close)
            started.append(subject)
        yield started


def rotated(subjects: Sequence[Subject], number: int) -> list[Subject]:
    """The order of the subjects in a round: the first to go changes from round to round."""
    first = number % len(subjects) if subjects else 0
    return [*subjects[first:], *subjects[:first]]


def environment(threads: int) -> dict[str, str]:
    """What libraries read when they are imported, so that they use so many threads."""
    parallel = str(threads > 1).lower()
    return os.environ | dict.fromkeys(_THREADS, str(threads)) | {"TOKENIZERS_PARALLELISM": parallel}


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """On one thread: keep this process, and those that it starts, on the last core; interrupts favour the first."""
    if threads > 1 or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the subject was started without pipes")
    return pipe


# The subject's side.


class Channel:
    """Reports to the benchmark, and the requests that come from it. Whatever else is printed goes to standard error."""

    def __init__(self) -> None:
        self._out = sys.stdout
        sys.stdout = sys.stderr
        self._start = self._processor_start = 0.0
        self._restart()

    def exchange(self, value: Any) -> dict[str, Any] | None:
        """Report on the time since the last exchange, then wait for the next request; None when there is none."""
        report = Report(
            value, time.perf_counter() - self._start, time.process_time() - self._processor_start, peak_mb()
        )
        print(json.dumps(asdict(report)), file=self._out, flush=True)
        line = sys.stdin.readline()
        request: dict[str, Any] | None = json.loads(line) if line else None
        self._restart()
        return request

    def _restart(self) -> None:
        self._start, self._processor_start = time.perf_counter(), time.process_time()


def serve(actions: Mapping[str, Callable[..., Any]]) -> None:
    """Report that this process is ready, then do what is requested until the benchmark is gone."""
    channel = Channel()
    request = channel.exchange(None)
    while request is not None:
        request = channel.exchange(actions[request.pop("action")](**request))


class Pacer:
    """Counts the updates of a loop, and stops it after each round until the next one is requested.

    The value that it reports for a round is the amount that the round's updates worked on.

    Args:
        warmup: updates before the first round.
        steps: updates a round.
        rounds: how many rounds.
    """

    def __init__(self, warmup: int, steps: int, rounds: int) -> None:
        self.updates = warmup + steps * rounds
        """How many the loop shall make."""
        self._warmup, self._steps = warmup, steps
        self._made = self._amount = 0
        self._channel = Channel()
        if warmup == 0:
            self._pause()

    def after_update(self, amount: int) -> None:
        """To be called after each update.

        Args:
            amount: what the update worked on: real tokens, or texts.
        """
        self._made += 1
        self._amount += amount
        if self._made >= self._warmup and (self._made - self._warmup) % self._steps == 0:
            self._pause()

    def _pause(self) -> None:
        request = self._channel.exchange(self._amount)
        if request is None and self._made < self.updates:
            raise SystemExit("the benchmark was stopped")
        self._amount = 0


def peak_mb() -> float:
    """The largest memory this process has had, in 10^6 bytes.

    From `VmHWM` where there is one: `ru_maxrss` of a child process begins at what its parent had.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


# Results.


def save_results(path: Path, name: str, results: Any, packages: Sequence[str], **facts: Any) -> None:
    """Add results to a JSON file, with the machine they come from; the last run under each name is kept.

    Args:
        path: of the file.
        name: of the benchmark.
        results: as JSON.
        packages: whose versions are stored.
        facts: more to be stored beside the results.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    stored[name] = {
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": " ".join(sys.argv),
        "load": os.getloadavg()[0],
        "machine": machine(packages),
        **facts,
        "results": results,
    }
    path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def machine(packages: Sequence[str] = ("torch", "transformers", "tokenizers")) -> dict[str, Any]:
    """Processor, cores, and versions of Python and of the packages that are installed."""
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
