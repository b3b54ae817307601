"""How long work reports what it is doing: a protocol, which `core/terminal.py` draws, and silence."""

from typing import Literal, Protocol


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
    """Says nothing."""

    def say(self, message: str) -> None:
        """Ignore."""

    def start(self, what: str, total: float | None, unit: str) -> None:
        """Ignore."""

    def update(self, done: float, facts: str = "") -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""


Reporting = Progress | Literal["auto"] | None
"""What a caller says about it: where to report, `auto` for a bar where somebody looks on, None for silence."""
