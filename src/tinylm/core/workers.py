"""Processes that work for this one in a pool: how they begin, and what is said where one is killed."""

import atexit
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress

from tinylm.core.errors import TinyLMError

_LOOK_EVERY = 1.0
"""Seconds between two looks at whether the parent is there."""


def begin_worker(parent: int) -> None:
    """Leave the terminal's Ctrl-C to the parent, and end with it, also where it is killed; for a pool's `initializer`.

    Args:
        parent: its process id.
    """
    # Windows has no process groups, and no new parent either for a process whose own has ended.
    with suppress(OSError, AttributeError):
        os.setpgid(0, 0)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # PyTorch takes two seconds to be taken down, and the parent waits for its processes before it ends.
    atexit.register(os._exit, 0)


@contextmanager
def killed_worker_explained(what: str, how_to_go_on: str) -> Iterator[None]:
    """Where a process of a pool is killed, say so in a sentence.

    Args:
        what: it was doing.
        how_to_go_on: what the user can do, besides freeing memory.

    Raises:
        TinyLMError: a process was killed.
    """
    try:
        yield
    except BrokenExecutor as error:
        raise TinyLMError(
            f"a process was killed while {what}, most often by a system whose memory runs out: free memory, "
            f"or run on one core (taskset -c 0 on Linux), and {how_to_go_on}"
        ) from error


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)
