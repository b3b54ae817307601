"""Texts and labels in memory: lists, arrays, columns of pandas, polars, Arrow and `datasets`, and whole tables of them.

No library of tables is imported: a column is whatever gives its values one by one, a table whatever has
`table[column]`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tinylm.core.errors import InputError
from tinylm.core.problems import ProblemType
from tinylm.text.columns import task_columns
from tinylm.text.columns import text_column as find_text_column
from tinylm.text.corpus import Corpus, CorpusSource
from tinylm.text.labelled import LabelledRows
from tinylm.text.several import Label, names_in_list
from tinylm.text.splits import Examples, Task
from tinylm.text.tasks import examples_for, task_of_rows

_LISTS = (list, tuple, np.ndarray)
_MISSING = ("NAType", "NaTType")
"""What pandas calls the classes of the values that stand for none."""


class Frame(Protocol):
    """A table in memory: it gives a column by its name."""

    def __getitem__(self, column: Any, /) -> Any:
        """The values of a column."""


def corpus_source(
    corpus: "str | Path | Corpus | CorpusSource | Frame | Iterable[str]",
    text_column: str | None,
    encoding: str,
    documents: int | None,
    data_dir: str | Path | None,
) -> CorpusSource:
    """Unlabelled text from wherever as a `CorpusSource`, whose fields the other arguments are.

    Args:
        corpus: what `CorpusSource` takes, and texts in memory: any iterable of them, or a table with such a column.
        text_column: of files, or of the table in memory.
        encoding: of files that are text.
        documents: how many to keep.
        data_dir: where names are looked for.

    Raises:
        InputError: texts in memory that are none, no such column, or fields that contradict each other.
    """
    if isinstance(corpus, CorpusSource):
        return corpus
    if isinstance(corpus, str | Path | Corpus):
        return CorpusSource(corpus, text_column, encoding, documents, data_dir)
    columns = columns_of(corpus)
    if columns is not None:
        column = find_text_column("the table", columns, text_column, "text_column")
        texts = strings(corpus[column], f"column {column!r}")  # type: ignore[index]
    else:
        if text_column is not None:
            raise InputError(f"text_column={text_column!r} names a column, and the texts in memory have none")
        texts = strings(corpus, "texts")  # type: ignore[arg-type]
    return CorpusSource(texts, documents=documents, data_dir=data_dir)


def strings(values: Iterable[Any], what: str) -> list[str]:
    """Strings, each checked to be one.

    Args:
        values: texts, or a column of them.
        what: they are, for messages: `texts`.

    Raises:
        InputError: `values` is one string or cannot be iterated over, or an entry is no string.
    """
    found = plain_values(values, what)
    for row, value in enumerate(found):
        if not isinstance(value, str):
            what_it_is = "missing" if is_missing(value) else f"{type(value).__name__}, not a string"
            raise InputError(f"{what}, row {row}, is {what_it_is}; give a string a row")
    return found


def plain_values(values: Iterable[Any], what: str) -> list[Any]:
    """The values of a list, array or column, as Python's own types; see `strings`."""
    if isinstance(values, str | bytes):
        raise InputError(f"{what} is one string, {values[:40]!r}; give a list of them")
    if isinstance(values, Mapping) or columns_of(values) is not None:
        raise InputError(f"{what} is {type(values).__name__}, a table; give one of its columns")
    if isinstance(values, Set):
        raise InputError(f"{what} is a {type(values).__name__}, which has no order; give a list")
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise InputError(f"{what} is an array of {values.ndim} dimensions; give one of 1")
        return list(values.tolist())
    try:
        found = list(values)
    except TypeError as error:
        raise InputError(f"{what} is {type(values).__name__}; give a list or a column") from error
    # NumPy's scalars have `item`, those of Arrow `as_py`.
    return [
        value.item() if isinstance(value, np.generic) else value.as_py() if hasattr(value, "as_py") else value
        for value in found
    ]


def label_strings(labels: Iterable[Any]) -> list[str]:
    """Names of labels, one a row: those of strings, numbers and truth values; 1.0 is `1`, as in a file.

    Raises:
        InputError: `labels` is no list or column, or an entry is missing or none of these.
    """
    return [label_string(label, f"labels, row {row},") for row, label in enumerate(plain_values(labels, "labels"))]


def label_string(label: Any, place: str) -> str:
    """The name of one label; see `label_strings`.

    Args:
        label: a plain value.
        place: where it stands, as the beginning of a message.
    """
    if is_missing(label) or (isinstance(label, str) and not label.strip()):
        raise InputError(f"{place} is missing; fill it in or leave the row out")
    if not isinstance(label, str | int | float):
        raise InputError(f"{place} is {type(label).__name__}; give a name or number a row")
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return str(label).strip()


def task_in_memory(texts: Iterable[Any], labels: Iterable[Any]) -> Task:
    """Labelled texts in memory as a task, all of which is trained on.

    Args:
        texts: n strings; none may be blank.
        labels: n names, numbers or truth values; or n lists of them, perhaps empty, where a text may have several.

    Raises:
        InputError: either is no list or column, an entry is missing or of another kind, there are not as many texts
            as labels, none at all, a single label, or a label with one row.
    """
    rows = _rows_in_memory(texts, labels)
    names = {name for of_text in rows.label_sets for name in of_text}
    if not rows.several and len(names) < 2:
        raise InputError(f"{rows.source} have one label only, {names.pop()!r}; there is nothing to tell apart")
    return task_of_rows(rows, f"{len(rows.texts):,} texts in memory")


def examples_in_memory(
    texts: Iterable[Any], labels: Iterable[Any], known: Sequence[str], problem_type: ProblemType
) -> Examples:
    """Labelled texts in memory for a model that has labels already.

    Args:
        texts: as in `task_in_memory`.
        labels: likewise.
        known: the labels of the model.
        problem_type: of the model.

    Raises:
        InputError: as `task_in_memory`, but for there being two labels; or a label that the model does not know.
    """
    return examples_for(_rows_in_memory(texts, labels), known, problem_type)


def _rows_in_memory(texts: Iterable[Any], labels: Iterable[Any]) -> LabelledRows:
    values = plain_values(labels, "labels")
    several = any(isinstance(value, _LISTS) for value in values)
    names: list[Label] = [*(_label_lists(values) if several else label_strings(values))]
    found = strings(texts, "texts")
    if len(found) != len(names):
        raise InputError(f"there are {len(found):,} texts and {len(names):,} labels; give as many of each")
    if not found:
        raise InputError("texts and labels are empty; give labelled text")
    rows = LabelledRows("the texts in memory", several=several)
    for row, (text, name) in enumerate(zip(found, names, strict=True)):
        if not text.strip():
            raise InputError(f"texts, row {row}, is blank; fill it in or leave the row out")
        rows.add(text, name, f"row {row}")
    return rows


def _label_lists(values: Iterable[Any]) -> list[Label]:
    """The labels of each text, of lists of them; a missing value is an empty list, and one name a list of it."""
    found: list[Label] = []
    for row, value in enumerate(values):
        names = value if isinstance(value, _LISTS) else () if is_missing(value) else (value,)
        found.append(names_in_list(list(names), "labels", f"row {row}"))
    return found


def labelled_columns(frame: Any, text_column: str | None, label_column: str | None) -> tuple[Any, Any]:
    """The texts and the labels of a table in memory.

    Args:
        frame: whatever has `frame[column]`: of pandas, polars, Arrow or `datasets`, or a dictionary of lists.
        text_column: its name; found by the usual names when None.
        label_column: its name; likewise. Where a data set of `datasets` numbers its classes, their names are taken.

    Raises:
        InputError: there is no such column.
    """
    columns = columns_of(frame)
    if columns is None and (text_column is None or label_column is None):
        raise InputError(
            f"{type(frame).__name__} does not say which columns it has; name two with text_column and label_column"
        )
    if columns is not None:
        options = ("text_column", "label_column")
        text_column, label_column = task_columns("the table", columns, text_column, label_column, options)
    try:
        texts, labels = frame[text_column], frame[label_column]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{type(frame).__name__} gives no column ({error}); give texts=... and labels=...") from error
    feature = (getattr(frame, "features", None) or {}).get(label_column)
    names = getattr(getattr(feature, "feature", feature), "names", None)
    if names is not None:
        labels = [_named(label, names) for label in labels]
    return texts, labels


def _named(label: Any, names: Sequence[str]) -> Any:
    """The name of a class by its number, or of a list of them."""
    if isinstance(label, list):
        return [_named(entry, names) for entry in label]
    return names[label] if isinstance(label, int) and label >= 0 else None


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, pandas' NA and NaT."""
    return value is None or type(value).__name__ in _MISSING or (isinstance(value, float) and math.isnan(value))


def columns_of(frame: Any) -> list[str] | None:
    """The names of the columns of a table in memory; None where it is none, or does not say."""
    names = getattr(frame, "column_names", None)
    if names is None:
        names = getattr(frame, "columns", None)
    if names is None and isinstance(frame, Mapping):
        names = frame.keys()
    if isinstance(names, Mapping):
        raise InputError(f"{type(frame).__name__} has the parts {', '.join(map(repr, names))}; give one of them")
    return None if names is None else [str(name) for name in names]
