"""Jobs side by side, each in a process and on its share of the cores, with the progress of all in one place.

One member is too small to keep several cores busy: two at once on two cores, a thread each, make more updates than one
after the other on both.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Client, Connection, Listener
from typing import TypeVar

from tinylm.core.errors import InterruptedByUserError
from tinylm.core.progress import Progress
from tinylm.core.signals import stop_signals

Result = TypeVar("Result")
Job = Callable[[Progress], Result]
"""Work that can be pickled, given where it is to report."""

MOST = 4
"""Jobs at once at most: each has a PyTorch of its own, of some 300 MB."""

_LOOK_EVERY = 0.2
"""Seconds between two looks at signals."""
_LAST_WORDS = 1.0
"""Seconds that messages of a job that has ended may take to come in."""


def run_side_by_side(
    what: str, unit: str, jobs: Sequence[Job[Result]], progress: Progress, *, short: bool
) -> list[Result]:
    """Do all jobs, as many at once as there are cores and no more than `MOST`; one alone is done in this process.

    Ctrl-C and SIGTERM are passed on, and so is the end of the others where one fails: those in training save.

    Args:
        what: the stage, for progress.
        unit: what a job makes: `members`.
        jobs: what to do.
        progress: receives the messages of all, and how far they are together.
        short: whether each takes no longer than starting a process does; then they are done here, one by one.

    Returns:
        Their results, in the order of the jobs.

    Raises:
        InterruptedByUserError: Ctrl-C or SIGTERM came.
        Exception: what the first job that failed raised.
    """
    cores = _cores()
    at_once = min(len(jobs), cores, MOST)
    if short or at_once <= 1 or _shares_device():
        return [job(progress) for job in jobs]
    from loky import ProcessPoolExecutor

    threads = cores // at_once
    environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    shown = _Together(what, unit, len(jobs), progress)
    try:
        with _Reports(shown) as reports, ProcessPoolExecutor(at_once, env=environment) as pool:
            futures = [pool.submit(_work, job, number, reports.address, reports.key) for number, job in enumerate(jobs)]
            _wait(futures, reports)
    finally:
        shown.close()
    return [future.result() for future in futures]


def _wait(futures: Sequence["Future[Result]"], reports: "_Reports") -> None:
    """Wait for all, passing signals on; where one fails, the others are stopped before it is raised."""
    left, passed_on = set(futures), 0
    with stop_signals() as stopped:
        while left:
            done, left = wait(left, timeout=_LOOK_EVERY, return_when=FIRST_COMPLETED)
            failed = [future for future in done if not future.cancelled() and future.exception()]
            if failed or len(stopped) > passed_on:
                passed_on = len(stopped)
                left -= {future for future in left if future.cancel()}
                reports.stop()
    errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
    # What went wrong says more than that the others were stopped for it.
    for error in sorted(errors, key=lambda error: isinstance(error, InterruptedByUserError)):
        raise error
    if stopped:
        raise InterruptedByUserError("interrupted; what was finished is kept")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shares_device() -> bool:
    """Whether a member has a GPU, or the processes of `torchrun`, to itself."""
    import torch

    return torch.cuda.is_available() or int(os.environ.get("WORLD_SIZE", "1")) > 1


def _work(job: Job[Result], number: int, address: str, key: bytes) -> Result:
    """Do a job in a process of the pool."""
    # Ctrl-C in a terminal is for the parent, which passes it on.
    with suppress(OSError, AttributeError):
        os.setpgid(0, 0)
    # While it trains, the trainer has handlers of its own.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Client(address, authkey=key) as connection:
            connection.send((number, "began", os.getpid()))
            return job(_Remote(connection, number))
    except KeyboardInterrupt as error:
        raise InterruptedByUserError("interrupted; what was finished is kept") from error
    finally:
        # A signal that comes late must not end a process of the pool.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class _Remote:
    """Progress that is sent to the parent; a parent that is gone ends the job."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection, self._number = connection, number

    def say(self, message: str) -> None:
        self._connection.send((self._number, "say", message))

    def start(self, what: str, total: float | None, unit: str) -> None:
        del unit
        self._connection.send((self._number, "start", what, total))

    def update(self, done: float, facts: str = "") -> None:
        self._connection.send((self._number, "update", done, facts))

    def finish(self) -> None:
        pass


class _Together:
    """The progress of all jobs as one stage."""

    def __init__(self, what: str, unit: str, jobs: int, progress: Progress) -> None:
        self._progress, self._lock = progress, threading.Lock()
        self._share, self._closed = [0.0] * jobs, False
        self._stages: dict[int, tuple[str, float | None]] = {}
        progress.start(what, jobs, unit)

    def receive(self, number: int, kind: str, *values: object) -> None:
        """Take over what a job reports."""
        with self._lock:
            match kind, values:
                case "say", (str(message),):
                    self._progress.say(message)
                case _ if self._closed:
                    pass
                case "start", (str(what), total):
                    self._stages[number] = what, total  # type: ignore[assignment]
                case "update", (float() | int() as done, str(facts)):
                    what, total = self._stages[number]
                    if total:
                        self._share[number] = max(self._share[number], min(1.0, done / total))
                    self._progress.update(sum(self._share), f"{what}: {facts}" if facts else what)
                case "ended", _:
                    self._share[number] = 1.0
                    self._progress.update(sum(self._share))

    def close(self) -> None:
        """The stage is over."""
        with self._lock:
            self._closed = True
            self._progress.finish()


class _Reports:
    """A place for the jobs to report to, and the processes that they run in."""

    def __init__(self, shown: _Together) -> None:
        self._shown, self.key = shown, os.urandom(16)
        self._listener = Listener(authkey=self.key)
        self.address = str(self._listener.address)
        self._processes: dict[int, int] = {}
        self._readers: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "_Reports":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for reader in self._readers:
            reader.join(_LAST_WORDS)

    def stop(self) -> None:
        """Ask the jobs that are running to stop."""
        with self._lock:
            for process in self._processes.values():
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)

    def _accept(self) -> None:
        # Closing the listener ends it.
        with suppress(OSError):
            while True:
                reader = threading.Thread(target=partial(self._read, self._listener.accept()), daemon=True)
                self._readers.append(reader)
                reader.start()

    def _read(self, connection: Connection) -> None:
        number, _, process = connection.recv()
        with self._lock:
            self._processes[number] = process
        with connection, suppress(EOFError, OSError):
            while True:
                self._shown.receive(*connection.recv())
        with self._lock:
            del self._processes[number]
        self._shown.receive(number, "ended")
