"""Contenders that are asked: each in a process of its own, one at work while the others wait.

In `rounds.py` a contender paces itself through its updates; here it is told what to answer, in a line of JSON each way,
so that all can be given the same texts. On one thread all run on the same core, one after another. Memory is the
peak of the process itself: `ru_maxrss` of a child begins at what its parent had.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


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


def peak_mb() -> float:
    """The largest memory this process has had, in 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


class Contender:
    """The asking side.

    Args:
        name: for messages.
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
        self.facts = self._read()

    def ask(self, do: str, **details: Any) -> Any:
        """Have it do something, and wait for the outcome.

        Raises:
            RuntimeError: it ended instead.
        """
        _pipe(self._process.stdin).write(json.dumps({"do": do, **details}) + "\n")
        _pipe(self._process.stdin).flush()
        return self._read()

    def end(self) -> None:
        """Let it finish by itself; one that works on is killed."""
        _pipe(self._process.stdin).close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> Any:
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"{self.name} ended early; its message is above")
        return json.loads(line)


@contextmanager
def contenders(commands: Mapping[str, Sequence[str]], threads: int) -> Iterator[list[Contender]]:
    """Start them one after another, and end them with the block; those that cannot start are left out, with a line."""
    with ExitStack() as stack:
        started = []
        for name, command in commands.items():
            try:
                contender = Contender(name, command, threads)
            except RuntimeError as error:
                print(f"{name} is left out: {error}", flush=True)
                continue
            stack.callback(contender.end)
            started.append(contender)
        yield started


def serve(facts: Mapping[str, Any], requests: Mapping[str, Callable[..., Any]], out: IO[str]) -> None:
    """The answering side: say that it is ready, then do what it is asked until the asking side is gone."""
    print(json.dumps(facts), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(requests[request.pop("do")](**request)), file=out, flush=True)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the contender was started without pipes")
    return pipe
