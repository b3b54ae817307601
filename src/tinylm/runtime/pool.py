"""Predicting many texts on all cores: a process a core, each with the model, the results in the order of the texts.

A block is computed as a whole by one process, on one thread, so that the numbers are those of a single process to the
last bit. (Threads of one process wait for each other in Python, and matrices this small are no faster on two threads.)
"""

import signal
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path

from tinylm.core.cores import usable_cores
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.loading import load
from tinylm.runtime.predictions import Predictions

BLOCK = 256
"""Texts that are predicted together."""

_WORTH_A_POOL = 32
"""Blocks below which processes would take longer to start than one takes to predict."""

_AHEAD = 2
"""Blocks a process that are on their way at once, so that memory does not grow with the number of texts."""


def predict_blocks(
    folder: Path, blocks: Iterable[Sequence[str]], cores: int | None = None, *, least: int = _WORTH_A_POOL
) -> Generator[Predictions]:
    """Predictions of each block, in the order of the blocks, as they are made.

    Args:
        folder: of a trained or exported model.
        blocks: texts, best `BLOCK` at a time.
        cores: how many processes share the blocks; as many as there are cores when None.
        least: blocks below which one process predicts all.

    Raises:
        InputError: the folder is no model.
    """
    committee, waiting = load(folder), iter(blocks)
    first = list(islice(waiting, least))
    cores = cores or usable_cores()
    if cores == 1 or len(first) < least:
        yield from (committee.predict_batch(block) for block in chain(first, waiting))
        return
    # Threads of the parent, such as those of BLAS, do not survive a fork.
    pool = ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=_open, initargs=(folder,))
    running: deque[Future[Predictions]] = deque()
    try:
        for block in chain(first, waiting):
            running.append(pool.submit(_predict, block))
            if len(running) >= _AHEAD * cores:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


_committee: Classifier | None = None
"""Of a process of the pool."""


def _open(folder: Path) -> None:
    global _committee  # noqa: PLW0603
    # Ctrl-C in a terminal is for the parent, which ends the pool.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _committee = load(folder)


def _predict(texts: Sequence[str]) -> Predictions:
    assert _committee is not None
    return _committee.predict_batch(texts)
