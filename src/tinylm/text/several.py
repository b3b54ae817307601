"""Several labels a text as they are written: lists, `__label__a __label__b`, a separator, or columns of 0 and 1.

What makes a task one of several labels is a list in the label column, more than one `__label__` on a line, or one of
the two options of `LabelForm`. Then a text may also have no label at all.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinylm.core.errors import InputError

Label = str | tuple[str, ...]
"""A name; where a text may have several, a tuple of names, each once."""


@dataclass(frozen=True)
class LabelForm:
    """How several labels are written where the file itself does not say so."""

    separator: str | None = None
    """What stands between the names in the label column."""
    columns: tuple[str, ...] = ()
    """Columns of 0 and 1, a label each, in place of a label column."""

    @classmethod
    def of(cls, separator: str | None, columns: str | None) -> "LabelForm":
        """From the options: `columns` are names with commas between them.

        Raises:
            InputError: both are given, the separator is empty, or a name is empty or twice there.
        """
        if separator is not None and columns is not None:
            raise InputError("label_separator and label_columns are given; labels are written in one way: give one")
        if separator is not None and not separator.strip():
            raise InputError("label_separator is empty; give what stands between two labels, such as '|'")
        names = tuple(name.strip() for name in columns.split(",")) if columns is not None else ()
        if columns is not None and not all(names):
            raise InputError(f"label_columns is {columns!r}; give names of columns with a comma between two")
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise InputError(f"label_columns names {repeated!r} twice; name each column once")
        if len(names) == 1:
            raise InputError(f"label_columns names one column, {names[0]!r}; give two or more, or --label-column")
        return cls(separator, names)

    @property
    def is_given(self) -> bool:
        """Whether it makes a task one of several labels."""
        return self.separator is not None or bool(self.columns)


BY_ITSELF = LabelForm()
"""The file says by itself how many labels a text has."""


def label_name(value: Any) -> str | None:
    """The label that a value of a table is: a name, or a number as text; None where there is none.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        # pandas writes integers as floats once one of them is missing.
        value = int(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str | int | float):
        raise TypeError(type(value).__name__)
    return str(value).strip() or None


def names_in_list(values: Sequence[Any], column: str, place: str) -> tuple[str, ...]:
    """The labels in a list, each once.

    Raises:
        InputError: an entry is no name.
    """
    try:
        names = [label_name(value) for value in values]
    except TypeError as error:
        raise InputError(
            f"{place}: the list in {column!r} holds a value of type {error}; give names or numbers in it"
        ) from error
    if None in names:
        raise InputError(f"{place}: the list in {column!r} has an empty label; remove it from the list")
    return tuple(dict.fromkeys(name for name in names if name is not None))


def names_between(value: Any, separator: str, column: str, place: str) -> tuple[str, ...]:
    """The labels of a field with a separator between them, each once; none where the field is empty.

    Raises:
        InputError: the field is no text, or a name between two separators is empty.
    """
    if isinstance(value, list | tuple):
        raise InputError(f"{place}: {column!r} is a list, which needs no separator; leave --label-separator out")
    try:
        written = label_name(value)
    except TypeError as error:
        raise InputError(f"{place}: the labels in {column!r} are {error}; write names with a separator") from error
    if written is None:
        return ()
    names = [name.strip() for name in written.split(separator)]
    if not all(names):
        raise InputError(f"{place} has an empty label in {column!r}, {written!r}; remove the separator too many")
    return tuple(dict.fromkeys(names))


def names_of_ones(record: Mapping[str, Any], columns: Iterable[str], place: str) -> tuple[str, ...]:
    """The columns in which a row has 1.

    Raises:
        InputError: a value is neither 0 nor 1.
    """
    return tuple(column for column in columns if _is_one(record.get(column), column, place))


def _is_one(value: Any, column: str, place: str) -> bool:
    written = str(value).strip().lower()
    if written in ("1", "1.0", "true"):
        return True
    if written in ("0", "0.0", "false"):
        return False
    shown = "nothing" if written in ("", "none", "nan") else repr(value)
    raise InputError(f"{place} has {shown} in {column!r}; a column of --label-columns holds 0 or 1 in each row")
