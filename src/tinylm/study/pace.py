"""How far a study is: runs done, running and to go, and the time to go at the pace so far."""

import time
from collections.abc import Mapping, Sequence

from tinylm.core.cores import usable_cores
from tinylm.core.progress import Progress
from tinylm.steps.side_by_side import MOST
from tinylm.study.runs.run import Run

_SECONDS_BETWEEN_LINES = 60.0
_ENOUGH = 0.05
"""Share of a study from which on its pace is known."""


def duration(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


class StudyProgress:
    """Progress that adds how far the whole study is to what its runs report, once a minute at most.

    Args:
        progress: receives all of it.
        seconds: how long each run that is not stored was estimated to take.
        total: runs of the study, stored ones included.
    """

    def __init__(self, progress: Progress, seconds: Mapping[Run, float], total: int) -> None:
        self.start, self.update, self.finish = progress.start, progress.update, progress.finish
        self._say, self._seconds, self._total = progress.say, seconds, total
        self._began = time.perf_counter()
        self._said = 0.0
        self._left: list[tuple[str, float]] = []
        self._together, self._alone = 0, False

    def begin(self, left: Sequence[Run], together: int, *, alone: bool) -> None:
        """A round of runs begins.

        Args:
            left: runs that are not done.
            together: how many of them the round has.
            alone: whether one goes after the other.
        """
        self._left = [(run.title, self._seconds.get(run, 0.0)) for run in left]
        self._together, self._alone = together, alone
        self._say_how_far()

    def say(self, message: str) -> None:
        """Pass on what a run says, which is done where it is no warning."""
        self._say(message)
        if message.startswith("warning") or not self._left:
            return
        # One that stood for what a search would find is done under another title; those of a round are alike.
        done = (number for number, (title, _) in enumerate(self._left) if message.startswith(f"{title}: "))
        self._left.pop(next(done, 0))
        self._together -= 1
        if self._together and time.perf_counter() - self._said > _SECONDS_BETWEEN_LINES:
            self._say_how_far()

    def _say_how_far(self) -> None:
        self._said = time.perf_counter()
        total, to_go = sum(self._seconds.values()), sum(seconds for _, seconds in self._left)
        spent = self._said - self._began
        # At the pace so far, which knows how many go side by side, once enough is done to know it.
        if to_go and total - to_go > _ENOUGH * total and spent > 1:
            to_go *= spent / (total - to_go)
        running = min(self._together, 1 if self._alone else usable_cores(), MOST)
        done = self._total - len(self._left)
        rest = len(self._left) - running
        self._say(f"{done} runs done, {running} running, {rest} to go; about {duration(to_go)} left")


class Quiet:
    """Progress that passes on how far a run is and its warnings, and leaves its other messages out."""

    def __init__(self, progress: Progress, title: str) -> None:
        """See the class; `title` is that of the run."""
        self.start, self.update, self.finish = progress.start, progress.update, progress.finish
        self._say, self._title = progress.say, title

    def say(self, message: str) -> None:
        """Pass on a warning."""
        if message.startswith("warning"):
            self._say(f"{message} ({self._title})")
