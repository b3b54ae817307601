"""What a row says beside its text and label: how much it counts, when it was, which rows belong to it, its entities."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tinylm.core.errors import InputError
from tinylm.text.columns import named_column

Time = float | datetime


@dataclass(frozen=True)
class RowColumns:
    """The columns that are read beside text and label; None where there is no such column."""

    group: str | None = None
    """Rows with the same value come from one source, and stay on one side of a split."""
    weight: str | None = None
    """How much a row counts in training."""
    time: str | None = None
    """When it was: numbers, or dates by ISO 8601."""
    entities: str | None = None
    """Where its entities stand in the text; see `mark_entities`."""

    @property
    def named(self) -> list[str]:
        """Those that are to be read."""
        return [name for name in (self.group, self.weight, self.time, self.entities) if name is not None]

    @property
    def of_test_rows(self) -> "RowColumns":
        """Those that are read of the rows of a test part too."""
        return RowColumns(entities=self.entities)

    def require(self, source: str, columns: Sequence[str]) -> None:
        """Refuse a table that lacks one of them.

        Args:
            source: the file or data set, for the message.
            columns: those there are.

        Raises:
            InputError: one is missing.
        """
        for name, option in (
            (self.group, "--group-column"),
            (self.weight, "--weight-column"),
            (self.time, "--time-column"),
            (self.entities, "--entities"),
        ):
            if name is not None:
                named_column(source, columns, name, option)


NONE = RowColumns()


def weight_of(value: Any, column: str, place: str) -> float:
    """The weight that a cell gives its row.

    Raises:
        InputError: it is no number of at least 0.
    """
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if isinstance(value, bool) or not 0 <= weight < math.inf:
        raise InputError(f"{place}: {value!r} in {column!r} is no weight; give a number of at least 0")
    return weight


def time_of(value: Any, column: str, place: str) -> Time:
    """The time that a cell gives its row: a number, or a moment.

    Raises:
        InputError: it is neither a number nor a date by ISO 8601.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value):
        return float(value)
    if isinstance(value, str):
        readers: tuple[Callable[[str], Time], ...] = (float, datetime.fromisoformat)
        for read in readers:
            with suppress(ValueError):
                return read(value.strip())
    raise InputError(
        f"{place}: {value!r} in {column!r} is no time; write all of them as dates, such as 2024-03-31, or as numbers"
    )


def require_comparable(times: Sequence[Time], column: str, places: Sequence[str]) -> None:
    """Refuse times of which it cannot be said which is the later one.

    Raises:
        InputError: numbers beside dates, or dates with a time zone beside dates without; names the first odd one out.
    """
    first = _kind(times[0])
    for time, place in zip(times, places, strict=True):
        if _kind(time) != first:
            raise InputError(
                f"{place}: {column!r} holds {_kind(time)} where {places[0]} holds {first}; write all of them alike"
            )


def _kind(time: Time) -> str:
    if isinstance(time, float):
        return "a number"
    return "a date without a time zone" if time.tzinfo is None else "a date with a time zone"
