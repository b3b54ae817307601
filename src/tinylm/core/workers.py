"""How a process begins that works for this one in a pool."""

import os
import threading
import time
from contextlib import suppress

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


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)
