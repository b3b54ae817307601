"""The batches of a run; those for a GPU are made ahead by threads, since making one takes as long as its update."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from tinylm.train.batch import Batch
from tinylm.train.workload import Workload

_THREADS, _AHEAD = 4, 8
"""Threads that make batches, and how many of these are ready or being made."""


class Batches:
    """The batches of a workload, update by update; a context manager.

    A batch is a function of seed and step, so that it is the same whenever it is made.

    Args:
        workload: whose batches.
        device: where updates are computed.
    """

    def __init__(self, workload: Workload, device: str) -> None:
        self._workload, self._ahead = workload, device != "cpu"
        self._pool: ThreadPoolExecutor | None = None
        self._first = 0
        self._made: deque[Future[Batch]] = deque()

    def __enter__(self) -> Self:
        if self._ahead:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="batches")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._made.clear()

    def take(self, step: int) -> Batch:
        """The whole batch of an update, on the CPU."""
        if self._pool is None:
            return self._workload.batch(step)
        if not self._made:
            self._first = step
        while len(self._made) < _AHEAD:
            self._made.append(self._pool.submit(self._make, self._first + len(self._made)))
        self._first += 1
        return self._made.popleft().result()

    def _make(self, step: int) -> Batch:
        return self._workload.batch(step).pinned()
