"""Texts of many requests answered together, and none delayed for it.

One thread works, so that the event loop stays free. It takes whatever waits; what arrives while it computes is its
next batch. A lone text is therefore taken at once and alone, and batches grow only with the load. Requests take turns:
a large one is answered in pieces, and a small one behind it is in the very next batch.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinylm.core.errors import TinyLMError

if TYPE_CHECKING:
    from tinylm.runtime.classifier import Classifier
    from tinylm.runtime.predictions import Explanation, Predictions


class QueueFullError(TinyLMError):
    """So many texts wait that no more are taken; the number is the first argument."""


@dataclass(eq=False)
class _Job:
    texts: Sequence[str]
    result: "asyncio.Future[Any]"
    explain: bool = False
    taken: int = 0
    parts: "list[Predictions]" = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.texts) - self.taken


@dataclass(frozen=True)
class _Piece:
    """Texts `start` to `stop` of a job."""

    job: _Job
    start: int
    stop: int

    @property
    def texts(self) -> Sequence[str]:
        return self.job.texts[self.start : self.stop]


class Batcher:
    """A classifier, the queue in front of it, and the thread that works it off.

    It belongs to the event loop that runs when it is made, and `answer` and `explain` are called from there.

    Args:
        classifier: what answers.
        batch: texts that are answered together, at most.
        max_waiting: texts that may wait.
        on_batch: called with the number of texts before each batch, in the working thread.
    """

    def __init__(
        self, classifier: "Classifier", *, batch: int, max_waiting: int, on_batch: Callable[[int], None]
    ) -> None:
        self._classifier = classifier
        self._batch, self._max_waiting, self._on_batch = batch, max_waiting, on_batch
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._closing = False
        self._changed = threading.Condition()
        # A daemon, so that a second Ctrl-C need not wait for a batch.
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Texts that nobody has begun to read."""
        return self._waiting

    def answer(self, texts: Sequence[str]) -> "asyncio.Future[Predictions]":
        """Answer texts, at least one. Cancelling the future takes them out of the queue.

        Raises:
            QueueFullError: too many texts wait.
        """
        return self._submit(_Job(texts, self._loop.create_future()))

    def explain(self, text: str) -> "asyncio.Future[Explanation]":
        """Explain the answer to one text; otherwise as `answer`."""
        return self._submit(_Job([text], self._loop.create_future(), explain=True))

    async def close(self) -> None:
        """Answer what waits, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _submit(self, job: _Job) -> "asyncio.Future[Any]":
        with self._changed:
            if self._waiting + job.left > self._max_waiting:
                raise QueueFullError(self._waiting)
            self._waiting += job.left
            self._jobs.append(job)
            self._changed.notify()
        job.result.add_done_callback(lambda _: self._withdraw(job))
        return job.result

    def _withdraw(self, job: _Job) -> None:
        """Forget what is left of a job that was cancelled or that failed."""
        if job.left:
            with self._changed, suppress(ValueError):
                self._jobs.remove(job)
                self._waiting -= job.left

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._jobs or self._closing):
                    self._changed.wait()
                if not self._jobs:
                    return
                pieces = self._take()
            self._answer([piece for piece in pieces if not piece.job.explain])
            for piece in pieces:
                if piece.job.explain:
                    self._explain(piece.job)

    def _take(self) -> list[_Piece]:
        """The next batch: an equal share of it for each job that waits, and what that leaves in turn."""
        before: dict[_Job, int] = {}
        room = self._batch
        while room and self._jobs:
            share = max(1, room // len(self._jobs))
            for _ in range(min(room, len(self._jobs))):
                job = self._jobs.popleft()
                before.setdefault(job, job.taken)
                count = min(share, job.left, room)
                job.taken += count
                room -= count
                if job.left:
                    self._jobs.append(job)
        self._waiting -= self._batch - room
        return [_Piece(job, start, job.taken) for job, start in before.items()]

    def _answer(self, pieces: list[_Piece]) -> None:
        texts = [text for piece in pieces for text in piece.texts]
        if not texts:
            return
        self._on_batch(len(texts))
        try:
            predictions = self._classifier.predict_batch(texts)
        except Exception as error:
            if len(pieces) == 1:
                self._deliver(_fail, pieces[0].job, error)
            else:
                # One text must not take down the requests that happen to stand beside it.
                for piece in pieces:
                    self._answer([piece])
            return
        start = 0
        parts = []
        for piece in pieces:
            stop = start + piece.stop - piece.start
            parts.append((piece.job, predictions[start:stop]))
            start = stop
        self._deliver(_finish, parts)

    def _explain(self, job: _Job) -> None:
        self._on_batch(1)
        try:
            self._deliver(_set, job, self._classifier.explain(job.texts[0]))
        except Exception as error:
            self._deliver(_fail, job, error)

    def _deliver(self, how: Callable[..., None], *what: object) -> None:
        # The loop is closed when a second Ctrl-C came; then there is nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(how, *what)


def _finish(parts: "list[tuple[_Job, Predictions]]") -> None:
    for job, part in parts:
        job.parts.append(part)
        if sum(len(p.tokens) for p in job.parts) == len(job.texts):
            _set(job, type(job.parts[0]).concatenate(job.parts))


def _set(job: _Job, result: "Predictions | Explanation") -> None:
    if not job.result.done():
        job.result.set_result(result)


def _fail(job: _Job, error: Exception) -> None:
    if not job.result.done():
        job.result.set_exception(error)
