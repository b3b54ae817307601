"""Jobs side by side, each in a process and on its share of the cores, with the progress of all in one place.

One member is too small to keep several cores busy: two at once on two cores, a thread each, make more updates than one
after the other on both.
"""

import os
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import TypeVar

from tinylm.core.cores import usable_cores
from tinylm.core.errors import InterruptedByUserError
from tinylm.core.progress import Progress
from tinylm.core.signals import stop_signals
from tinylm.core.workers import begin_worker, killed_worker_explained

Result = TypeVar("Result")
Job = Callable[[Progress], Result]
"""Work that can be pickled, given where it is to report."""

MOST = 4
"""Jobs at once at most: each has a PyTorch of its own, of some 300 MB."""

_GPU_MEMORY = 6 * 2**30
"""Bytes of a GPU that are free for each job: BERT-6 in batches of 128 takes no more."""
_IDLE_SECONDS = 30
"""That a process waits for the next stage before it ends."""
_LOOK_EVERY = 0.2
"""Seconds between two looks at signals."""
_LAST_WORDS = 1.0
"""Seconds that messages of a job that has ended may take to come in."""


def run_side_by_side(
    what: str,
    unit: str,
    jobs: Sequence[Job[Result]],
    progress: Progress,
    *,
    short: bool,
    seconds: Sequence[float] | None = None,
) -> list[Result]:
    """Do all jobs, as many at once as there are cores and no more than `MOST`; one alone is done in this process.

    They share a GPU where there is one, which a tiny member alone leaves idle most of the time.

    Ctrl-C and SIGTERM are passed on, and so is the end of the others where one fails: those in training save.

    Args:
        what: the stage, for progress.
        unit: what a job makes: `members`.
        jobs: what to do.
        progress: receives the messages of all, and how far they are together.
        short: whether each takes no longer than starting a process does; then they are done here, one by one.
        seconds: how long each is estimated to take, above 0, by which progress weighs them; all alike when None.

    Returns:
        Their results, in the order of the jobs.

    Raises:
        InterruptedByUserError: Ctrl-C or SIGTERM came.
        TinyLMError: a process was killed.
        Exception: what the first job that failed raised.
    """
    cores = usable_cores()
    at_once = min(len(jobs), cores, MOST, _most_on_gpu())
    if short or at_once <= 1 or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return [job(progress) for job in jobs]
    from loky import get_reusable_executor

    threads = cores // at_once
    # All of it, and where we are: processes of another environment or folder are not taken for this stage.
    environment = {
        **os.environ,
        "PWD": str(Path.cwd()),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
    }
    shown = _Together(what, unit, seconds or [1.0] * len(jobs), progress)
    try:
        # The next stage finds the processes of this one, with PyTorch imported. Of one that grew, or that idled for too
        # long as its next job came, loky warns when it takes another in its place, which is no concern of the user's.
        warnings.filterwarnings("ignore", "A worker (stopped|was restarted) while some jobs", UserWarning)
        pool = get_reusable_executor(
            at_once, timeout=_IDLE_SECONDS, env=environment, initializer=begin_worker, initargs=(os.getpid(),)
        )
        with killed_worker_explained(what, "go on with --resume: what was saved is kept"), _Reports(shown) as reports:
            waiting = [partial(pool.submit, _work, job, number, *reports.place) for number, job in enumerate(jobs)]
            futures = _run(waiting, at_once, reports)
    finally:
        shown.close()
    return [future.result() for future in futures]


def _run(
    waiting: "Sequence[Callable[[], Future[Result]]]", at_once: int, reports: "_Reports"
) -> "list[Future[Result]]":
    """Begin one after another, pass signals on; where one fails, the others are stopped before its error is raised."""
    # A pool takes jobs before it has a process for them, and can then no longer leave them out.
    begun: list[Future[Result]] = []
    passed_on, stopping = 0, False
    with stop_signals() as stopped:
        while True:
            running = [future for future in begun if not future.done()]
            failed = any(future.done() and future.exception() for future in begun)
            # A job that is asked a second time gives up what it is saving, which is for the user to ask.
            if len(stopped) > passed_on or (failed and not stopping):
                passed_on, stopping = len(stopped), True
                reports.stop()
            if not stopping and len(running) < at_once and len(begun) < len(waiting):
                begun.append(waiting[len(begun)]())
            elif running:
                wait(running, timeout=_LOOK_EVERY, return_when=FIRST_COMPLETED)
            else:
                break
    errors = [error for future in begun if (error := future.exception())]
    # What went wrong says more than that the others were stopped for it.
    for error in sorted(errors, key=lambda error: isinstance(error, InterruptedByUserError)):
        raise error
    if stopped:
        raise InterruptedByUserError("interrupted; what was finished is kept")
    return begun


def _most_on_gpu() -> int:
    """Jobs that have room on the GPU; `MOST` where there is none."""
    import torch

    return torch.cuda.mem_get_info()[0] // _GPU_MEMORY if torch.cuda.is_available() else MOST


def _work(job: Job[Result], number: int, address: str, key: bytes) -> Result:
    """Do a job in a process of the pool."""
    # While it trains, the trainer has handlers of its own.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Client(address, authkey=key) as connection:
            connection.send((number, "began", os.getpid()))
            # A job that is done before its reader is known would not be heard.
            connection.recv()
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
    """The progress of all jobs as one stage, of as many units as there are jobs, each weighed by its seconds."""

    def __init__(self, what: str, unit: str, seconds: Sequence[float], progress: Progress) -> None:
        self._progress, self._lock = progress, threading.Lock()
        self._weights = [len(seconds) * each / sum(seconds) for each in seconds]
        self._share, self._closed = [0.0] * len(seconds), False
        self._stages: dict[int, tuple[str, float | None]] = {}
        progress.start(what, len(seconds), unit)

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
                    self._progress.update(self._done(), f"{what}: {facts}" if facts else what)
                case "ended", _:
                    self._share[number] = 1.0
                    self._progress.update(self._done())

    def _done(self) -> float:
        return sum(weight * share for weight, share in zip(self._weights, self._share, strict=True))

    def close(self) -> None:
        """The stage is over."""
        with self._lock:
            self._closed = True
            self._progress.finish()


class _Reports:
    """A place for the jobs to report to, and the processes that they run in."""

    def __init__(self, shown: _Together) -> None:
        key = os.urandom(16)
        self._shown, self._listener = shown, Listener(authkey=key)
        self.place = str(self._listener.address), key
        self._stopping = False
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
            self._stopping = True
            for process in self._processes.values():
                _terminate(process)

    def _accept(self) -> None:
        # Closing the listener ends it.
        with suppress(OSError):
            while True:
                threading.Thread(target=self._read, args=(self._listener.accept(),), daemon=True).start()

    def _read(self, connection: Connection) -> None:
        number, _, process = connection.recv()
        with self._lock:
            self._readers.append(threading.current_thread())
            self._processes[number] = process
            if self._stopping:
                _terminate(process)
        with connection, suppress(EOFError, OSError):
            connection.send("known")
            while True:
                self._shown.receive(*connection.recv())
        with self._lock:
            del self._processes[number]
        self._shown.receive(number, "ended")


def _terminate(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
