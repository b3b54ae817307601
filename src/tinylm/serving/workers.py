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
from multiprocessing.connection import wait
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

_TOO_SOON_SECONDS = 5.0
_TICK_SECONDS = 0.2


@dataclass(frozen=True)
class Work:
    """What a worker serves.

    Attributes:
        model: folder of the model.
        threads: that compute in each worker.
        limits: what is taken from clients.
        token: what they must send.
    """

    model: Path
    threads: int
    limits: Limits
    token: str | None


def supervise(work: Work, listener: socket.socket, count: int, on_start: Callable[[], None]) -> bool:
    """Serve with so many workers until SIGTERM or Ctrl-C; one that dies is replaced.

    Args:
        work: what each of them serves.
        listener: the socket they share; closed here when it ends.
        count: how many.
        on_start: called when they are on their way; who connects from then on waits for them.

    Returns:
        Whether it was Ctrl-C.

    Raises:
        TinyLMError: a worker failed so soon that another would do no better.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tinylm-metrics-") as folder,
        _variable(FOLDER, folder),
        stop_signals() as received,
    ):
        workers = {_start(work, listener): time.monotonic() for _ in range(count)}
        try:
            on_start()
            while not received:
                wait([worker.sentinel for worker in workers], _TICK_SECONDS)
                for worker in [worker for worker in workers if not worker.is_alive() and not received]:
                    _judge(worker, time.monotonic() - workers.pop(worker))
                    workers[_start(work, listener)] = time.monotonic()
        finally:
            # While it is open here, clients would be let in when no worker is left to answer.
            listener.close()
            _stop(list(workers), lambda: received.count(signal.SIGINT) > 1)
        return signal.SIGINT in received


def _judge(worker: SpawnProcess, seconds: float) -> None:
    """Say that a worker has died, or give up where it failed by itself and at once."""
    code = worker.exitcode or 0
    if code >= 0 and seconds < _TOO_SOON_SECONDS:
        raise TinyLMError(f"a worker ended with code {code} as soon as it was started")
    _log.error("a worker ended with %s; another takes its place", f"signal {-code}" if code < 0 else f"code {code}")


def _start(work: Work, listener: socket.socket) -> SpawnProcess:
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(work, listener))
    # Ctrl-C reaches every process of the terminal, also one that is just coming up and could only fall over it. It is
    # born deaf to it, and hears from the parent until it listens itself.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    return process


def _serve(work: Work, listener: socket.socket) -> None:
    threading.Thread(target=_follow_parent, daemon=True).start()
    classifier = load(work.model, work.threads)
    Server(create_app(classifier, work.limits, work.token)).run(sockets=[listener])


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
