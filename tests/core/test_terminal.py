"""Progress on standard error: lines where there is no terminal, a bar where there is one."""

import io

import pytest
from rich.console import Console

from tinylm.core import terminal
from tinylm.core.terminal import TerminalProgress, listener


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(terminal.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.mark.parametrize(("before", "told"), [(0, "5%, 9:30 to go"), (300, "55%, 4:30 to go")])
def test_what_is_left_follows_from_the_pace_since_this_run_began(clock, before, told):
    out = io.StringIO()
    progress = TerminalProgress(Console(file=out, width=200))
    progress.start("training", 600.0, "s")
    progress.update(before, "loss 9")
    clock.now += 30
    progress.update(before + 30, "loss 8")
    assert out.getvalue() == f"training: {told} · loss 8\n"


def test_where_nothing_is_known_of_the_pace_nothing_is_said_of_it(clock):
    out = io.StringIO()
    progress = TerminalProgress(Console(file=out, width=200))
    progress.start("training", 600.0, "s")
    clock.now += 30
    progress.update(300.0)
    assert out.getvalue() == "training: 50%\n"


def test_a_bar_of_a_resumed_run_does_not_count_what_was_done_before():
    out = io.StringIO()
    progress = TerminalProgress(Console(file=out, width=200, force_terminal=True))
    progress.start("training", 600.0, "s")
    progress.update(300.0)
    (task,) = progress._bars.tasks
    assert (task.completed, task.speed) == (300, None)
    progress.finish()


class ZMQInteractiveShell:
    """What runs a notebook, by its name."""


@pytest.mark.parametrize(("terminal", "notebook"), [(True, False), (False, False), (False, True)])
def test_by_default_there_is_a_bar_where_somebody_looks_on(monkeypatch, terminal, notebook):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.stderr", Stream())
    if notebook:
        monkeypatch.setattr("builtins.get_ipython", ZMQInteractiveShell, raising=False)
    assert isinstance(listener("auto"), TerminalProgress) == (terminal or notebook)


def test_silence_and_a_listener_of_ones_own_are_kept(heard):
    assert listener(None) is None
    assert listener(heard) is heard
