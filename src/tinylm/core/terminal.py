"""Progress in a terminal or a notebook: a bar where there can be one, a line now and then where there cannot.

Everything goes to standard error, so that results can be piped.
"""

import time
from contextlib import suppress
from importlib.util import find_spec

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from tinylm.core.progress import Progress, Reporting

_SECONDS_BETWEEN_LINES = 15.0


def listener(progress: Reporting) -> Progress | None:
    """Who is told how far long work is.

    Args:
        progress: itself, `auto` for a bar on standard error where that is a terminal or a notebook, or None.
    """
    if progress != "auto":
        return progress
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    return TerminalProgress(console) if console.is_terminal or console.is_jupyter else None


class TerminalProgress:
    """Draws long work with rich.

    Args:
        console: where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._what, self._unit, self._total = "", "", None  # type: tuple[str, str, float | None]
        self._last_line = 0.0
        self._first: tuple[float, float] | None = None

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        style = "yellow" if message.startswith("warning") else None
        self._console.print(message, style=style, markup=False, highlight=False, soft_wrap=True)

    def start(self, what: str, total: float | None, unit: str) -> None:
        """A stage begins."""
        self.finish()
        self._what, self._unit, self._total = what, unit, total
        self._last_line = time.monotonic()
        self._first = None
        # In a notebook rich draws with ipywidgets.
        if self._console.is_terminal or (self._console.is_jupyter and find_spec("ipywidgets")):
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                TaskProgressColumn(show_speed=False),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[facts]}", markup=False),
            )
            self._bars = Bars(*columns, console=self._console, transient=True)
            self._bars.start()
            self._bars.add_task(what, total=total, facts="")

    def update(self, done: float, facts: str = "") -> None:
        """How far it is."""
        now = time.monotonic()
        # What was done before says nothing about the pace of a run that was resumed.
        resumed = self._first is None
        self._first = self._first or (now, done)
        if self._bars is not None:
            if resumed:
                self._bars.reset(self._bars.task_ids[0], completed=int(done))
            self._bars.update(self._bars.task_ids[0], completed=done, facts=facts)
            return
        if now - self._last_line < _SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        self.say(f"{self._what}: {self._how_far(done, now)}{' · ' + facts if facts else ''}")

    def finish(self) -> None:
        """The stage is over."""
        if self._bars is not None:
            bars, self._bars = self._bars, None
            # Ctrl-C may have come while the bar was being put up; rich then stumbles when it takes it down.
            with suppress(IndexError):
                bars.stop()
            self._console.show_cursor()

    def _how_far(self, done: float, now: float) -> str:
        if self._total is None:
            return f"{done:,.0f} {self._unit}"
        started, first = self._first or (now, done)
        share = f"{done / self._total:.0%}"
        if done <= first:
            return share
        left = (now - started) * (self._total - done) / (done - first)
        return f"{share}, {int(left // 60)}:{int(left % 60):02} to go"
