"""Several processes that serve one socket, and the one that looks after them."""

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from tinylm.core.errors import TinyLMError
from tinylm.core.signals import stop_signals
from tinylm.runtime.loading import load
from tinylm.serving.app import create_app
from tinylm.serving.limits import Limits
from tinylm.serving.metrics import FOLDER
from tinylm.serving.stopping import Server

_log = logging.getLogger(__name__)

_FAILURES_AT_START = 5
_FIRST_PAUSE_SECONDS = 0.5  # doubled with each failure in a row: 0.5, 1, 2, 4
_TICK_SECONDS = 0.2


@dataclass(frozen=True)
class Work:
    """What a worker serves."""

    model: Path
    """Folder of the model."""
    threads: int
    """Threads that compute in each worker."""
    limits: Limits
    """What is accepted from clients."""
    token: str | None
    """What clients must send, where there is one."""


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    ready: Connection  # readable once it serves, or once it is dead
    serves: bool = False

    def begins_to_serve(self) -> bool:
        """Whether it serves since the last call."""
        if self.serves or not self.ready.poll():
            return False
        try:
            self.ready.recv_bytes()
        except EOFError:
            return False
        self.serves = True
        return True


def supervise(work: Work, listener: socket.socket, count: int, on_start: Callable[[], None]) -> bool:
    """Serve with so many workers until SIGTERM or Ctrl-C; one that dies is replaced.

    A worker that a signal killed before it served is replaced after a pause, which doubles with each in a row.

    Args:
        work: what each of them serves.
        listener: the socket they share; closed here at the end.
        count: how many.
        on_start: called when they are started; connections from then on wait in the socket until one serves.

    Returns:
        Whether it was Ctrl-C.

    Raises:
        TinyLMError: a worker ended by itself before it served, or `_FAILURES_AT_START` in a row were killed by then.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tinylm-metrics-") as folder,
        _variable(FOLDER, folder),
        stop_signals() as received,
    ):
        workers = [_start(work, listener) for _ in range(count)]
        failures, next_start = 0, 0.0
        try:
            on_start()
            while not received:
                wait([worker.process.sentinel for worker in workers], _TICK_SECONDS)
                for worker in workers:
                    if worker.begins_to_serve():
                        failures = 0
                for worker in [worker for worker in workers if not worker.process.is_alive()]:
                    if received:
                        break
                    workers.remove(worker)
                    failures += not worker.serves
                    pause = 0.0 if worker.serves else _FIRST_PAUSE_SECONDS * 2 ** (failures - 1)
                    _report(worker, failures, pause)
                    next_start = max(next_start, time.monotonic() + pause)
                while len(workers) < count and time.monotonic() >= next_start and not received:
                    workers.append(_start(work, listener))
        finally:
            # While it is open here, connections would be accepted when no worker is left to answer.
            listener.close()
            _stop([worker.process for worker in workers], lambda: received.count(signal.SIGINT) > 1)
        return signal.SIGINT in received


def _report(worker: _Worker, failures: int, pause: float) -> None:
    """Log that a worker has ended, or give up where another would do no better."""
    code = worker.process.exitcode or 0
    if code >= 0 and not worker.serves:
        raise TinyLMError(f"a worker ended with code {code} as soon as it was started")
    if failures >= _FAILURES_AT_START:
        raise TinyLMError(
            f"{failures} workers in a row were killed by signal {-code} before they served; "
            "if memory is short, start fewer --workers or use a smaller model"
        )
    end = f"signal {-code}" if code < 0 else f"code {code}"
    _log.error("a worker ended with %s; another takes its place%s", end, f" in {pause:g} s" if pause else "")


def _start(work: Work, listener: socket.socket) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ready, report = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(work, listener, report))
    # Ctrl-C reaches every process of the terminal, and would raise in one that is still starting: SIGINT is ignored
    # there until its server handles it, and the parent passes the stop on as SIGTERM.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
        report.close()
    return _Worker(process, ready)


def _serve(work: Work, listener: socket.socket, report: Connection) -> None:
    threading.Thread(target=_follow_parent, daemon=True).start()
    classifier = load(work.model, work.threads)
    server = Server(create_app(classifier, work.limits, work.token), on_start=lambda: report.send_bytes(b"serves"))
    server.run(sockets=[listener])


def _follow_parent() -> None:
    """Stop when the parent is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _stop(workers: list[SpawnProcess], at_once: Callable[[], bool]) -> None:
    for worker in workers:
        worker.terminate()
    while alive := [worker for worker in workers if worker.is_alive()]:
        if at_once():
            for worker in alive:
                worker.kill()
        wait([worker.sentinel for worker in alive], _TICK_SECONDS)


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """An environment variable that processes started here inherit."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
