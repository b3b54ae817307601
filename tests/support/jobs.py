"""Jobs for `run_side_by_side`: a process of the pool imports them from here."""

import os
import signal
import time
from pathlib import Path

from tinylm.core.errors import InputError, InterruptedByUserError
from tinylm.core.signals import stop_signals


def square(number, progress):
    progress.start(f"squaring {number}", 2, "halves")
    progress.update(1, "half done")
    progress.say(f"{number} squared")
    time.sleep(0.02 * (5 - number))
    return number**2, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def until_stopped(file, progress):
    """Train for ever, as it were, and save when stopped."""
    progress.start("waiting", None, "s")
    with stop_signals() as stopped:
        file.with_suffix(".began").touch()
        for second in range(1000):
            progress.update(second)
            if stopped:
                # Saving takes a while; a second signal would break it off.
                time.sleep(0.5)
                if len(stopped) == 1:
                    file.touch()
                raise InterruptedByUserError(f"saved in {file}")
            time.sleep(0.05)


def fail(after, progress):
    del progress
    while not after.is_file():
        time.sleep(0.02)
    raise InputError("this one is wrong")


def untrained(file, progress):
    """Work that has no handler of its own."""
    del progress
    file.with_suffix(".began").touch()
    time.sleep(60)


def killed(progress):
    """Work that the system ends, as where memory runs out."""
    del progress
    os.kill(os.getpid(), signal.SIGKILL)


def beating(file, progress):
    """Work that shows that it goes on, and does not report."""
    del progress
    for _ in range(600):
        file.touch()
        time.sleep(0.1)


def surroundings(progress):
    """Where a process is, and a variable of its environment."""
    del progress
    return str(Path.cwd()), os.environ.get("TINYLM_CACHE")
