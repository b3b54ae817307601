"""How long work reports what it is doing: a protocol that the command line draws and the library leaves silent."""

from typing import Protocol


class Progress(Protocol):
    """Receives the stages and messages of long work."""

    def say(self, message: str) -> None:
        """One line that stays on the screen: a choice and its reason, a warning, a result."""

    def start(self, what: str, total: float | None, unit: str) -> None:
        """A stage begins; `total` in `unit`s, or None where it is not known."""

    def update(self, done: float, facts: str = "") -> None:
        """How far the stage is, in units, and what is worth seeing beside it (speed, loss)."""

    def finish(self) -> None:
        """The stage is over."""


class Silent:
    """Says nothing: the default of the Python interface."""

    def say(self, message: str) -> None:
        """Ignore."""

    def start(self, what: str, total: float | None, unit: str) -> None:
        """Ignore."""

    def update(self, done: float, facts: str = "") -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""
