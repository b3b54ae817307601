"""Labelled rows as they are read: each knows where it stands, so that a message can name it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinylm.core.errors import InputError
from tinylm.text import columns as usual
from tinylm.text.entities import mark_entities_of_cell
from tinylm.text.formats import open_table
from tinylm.text.hub import HubSplit
from tinylm.text.lines import ENCODING, UTF_8
from tinylm.text.row_columns import NONE, RowColumns, Time, time_of, weight_of
from tinylm.text.several import (
    BY_ITSELF,
    Label,
    LabelForm,
    label_name,
    names_between,
    names_in_list,
    names_of_ones,
)
from tinylm.text.tables import PlainText, Table


@dataclass
class LabelledRows:
    """Rows of one part of a task.

    Attributes:
        source: the file, folder or data set.
        texts: n texts.
        labels: n label names; tuples of names where a text has several, or none.
        places: n places as a message names them: `train.csv, line 7`.
        groups: n keys; rows with the same one must not be parted by a split.
        sources: n further keys, of which the same holds; empty where no column has them.
        weights: n numbers, how much each row counts in training; empty where no column has them.
        times: n numbers or moments; empty where no column has them.
        several: whether a text may have several labels, or none.
        unlabelled: what is wrong with the first row without a label, where each text has one.
    """

    source: str
    texts: list[str] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    times: list[Time] = field(default_factory=list)
    several: bool = False
    unlabelled: str | None = None

    def add(self, text: str, label: Label, place: str, group: str | None = None) -> None:
        """Append a row; its group is its text unless another is given."""
        self.texts.append(text)
        self.labels.append(label)
        self.places.append(place)
        self.groups.append(text if group is None else group)

    @property
    def label_sets(self) -> list[tuple[str, ...]]:
        """The labels of each text, also where it has one."""
        return [(label,) if isinstance(label, str) else label for label in self.labels]

    def require_labels(self) -> None:
        """Refuse rows without a label.

        Raises:
            InputError: there is one; names the first.
        """
        if self.unlabelled is not None:
            raise InputError(self.unlabelled)

    def add_columns(self, record: dict[str, Any], columns: RowColumns, place: str) -> None:
        """What the row that was added last says beside its text and label; entities are marked in its text.

        Raises:
            InputError: a weight, a time or entities that are none.
        """
        if columns.group is not None:
            value = _value(record, columns.group, place)
            if value is None or value == "":
                raise InputError(f"{place} has no group in {columns.group!r}; fill it in or remove the row")
            self.sources.append(str(value))
        if columns.weight is not None:
            self.weights.append(weight_of(_value(record, columns.weight, place), columns.weight, place))
        if columns.time is not None:
            self.times.append(time_of(_value(record, columns.time, place), columns.time, place))
        if columns.entities is not None:
            # The group stays the text without marks: rows of one text with other entities must not be parted.
            value = _value(record, columns.entities, place)
            self.texts[-1] = mark_entities_of_cell(self.texts[-1], value, columns.entities, place)


def read_labelled(
    files: Sequence[Path],
    text: str | None,
    label: str | None,
    further: RowColumns = NONE,
    encoding: str = UTF_8,
    form: LabelForm = BY_ITSELF,
) -> LabelledRows:
    """Read labelled rows of files in one of the `FORMATS`; `.txt` is fastText's.

    Args:
        files: one part of a task, in order.
        text: the text column; found by the usual names when None.
        label: the label column; found by the usual names when None.
        further: columns to read beside them.
        encoding: of formats that are text.
        form: how several labels are written, where the files do not say so by themselves.

    Raises:
        InputError: a row without text, or a label that is none; no row at all, no such column; as `Table.rows`. A row
            without a label is left to `LabelledRows.require_labels`.
    """
    rows = LabelledRows(", ".join(map(str, files)), several=form.is_given)
    for path in files:
        table = open_table(path, encoding, ENCODING)
        if isinstance(table, PlainText):
            _require_no_form(path, form)
            further.require(str(path), ("text", "label"))
            for number, record in table.fasttext_rows():
                _add_fasttext(rows, record, table.place(number))
            continue
        there = table.columns()
        columns = _columns(str(path), there, text, label, form)
        further.require(str(path), there)
        for number, record in table.rows(list(dict.fromkeys([*columns, *further.named]))):
            place = table.place(number)
            _add(rows, record, columns, form, place)
            rows.add_columns(record, further, place)
    return _some(rows)


def labelled_from_hub(
    split: HubSplit,
    text: str | None,
    label: str | None,
    further: RowColumns = NONE,
    form: LabelForm = BY_ITSELF,
) -> LabelledRows:
    """Read labelled rows of one split of a hub data set; see `read_labelled`."""
    source = f"{split.source} ({split.split})"
    columns = _columns(source, split.columns, text, label, form)
    further.require(source, split.columns)
    rows = LabelledRows(source, several=form.is_given)
    for number, record in enumerate(split.rows(), start=1):
        place = f"{source}, row {number}"
        _add(rows, record, columns, form, place)
        rows.add_columns(record, further, place)
    return _some(rows)


def _columns(source: str, there: Sequence[str], text: str | None, label: str | None, form: LabelForm) -> list[str]:
    """Those to read: that of the text, and that of the label or those of the labels."""
    if not form.columns:
        return list(usual.task_columns(source, there, text, label))
    if label is not None:
        raise InputError(f"label_column {label!r} is given beside label_columns; give one of them")
    columns = [usual.named_column(source, there, name, "--label-columns") for name in form.columns]
    found = usual.text_column(source, [name for name in there if name not in columns], text)
    return [found, *columns]


def _add(rows: LabelledRows, record: dict[str, Any], columns: Sequence[str], form: LabelForm, place: str) -> None:
    text, column = _text(record, columns[0], place), columns[1]
    label: Label | None
    if form.columns:
        label = names_of_ones(record, form.columns, place)
    elif form.separator is not None:
        label = names_between(_value(record, column, place), form.separator, column, place)
    else:
        value = _value(record, column, place)
        if isinstance(value, list | tuple):
            rows.several = True
            label = names_in_list(value, column, place)
        else:
            label = _label(value, column, place)
    if label is None:
        rows.unlabelled = rows.unlabelled or f"{place} has no label in {column!r}; fill it in or remove the row"
    rows.add(text, () if label is None else label, place)


def _add_fasttext(rows: LabelledRows, record: dict[str, Any], place: str) -> None:
    labels = tuple(dict.fromkeys(record["labels"]))
    if not labels:
        complaint = f"{place} does not begin with __label__; write `__label__name text`"
        rows.unlabelled = rows.unlabelled or complaint
    rows.several = rows.several or len(labels) > 1
    rows.add(_text(record, "text", place), labels[0] if len(labels) == 1 else labels, place)


def _require_no_form(path: Path, form: LabelForm) -> None:
    if form.is_given:
        option = "--label-columns" if form.columns else "--label-separator"
        raise InputError(f"{path} has its labels before the text, as __label__a __label__b; leave {option} out")


def read_texts(path: str | Path, text_column: str | None = None, encoding: str = UTF_8) -> Iterator[str]:
    """Stream the texts of a file to be labelled, in order; an empty one stays, as `""`.

    Args:
        path: a file in one of the `FORMATS`; `.txt` is one text a line, blank lines included.
        text_column: the column; found by the usual names when None.
        encoding: of formats that are text.

    Raises:
        InputError: the file or a row cannot be read, no such column, or a text is not a string.
    """
    table = open_table(Path(path), encoding, ENCODING)
    column = column_to_label(table, text_column)
    return (text for text, _ in texts_with_rows(table, column, [column]))


def column_to_label(table: Table, requested: str | None) -> str:
    """The column of the texts of a table to be labelled.

    Raises:
        InputError: it is not there, or cannot be found.
    """
    # Plain text has one column; a name that is given for those of other files does not concern it.
    requested = None if isinstance(table, PlainText) else requested
    return usual.text_column(str(table.path), table.columns(), requested)


def texts_with_rows(
    table: Table, column: str, columns: Sequence[str] | None = None, entities: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Stream the texts of a table, each with its row.

    Args:
        table: the file.
        column: of the text.
        columns: those of the row that are needed; all when None.
        entities: of the entities that are marked in the text; see `mark_entities`.

    Raises:
        InputError: a row cannot be read, a text is not a string, or entities that are none.
    """
    for number, record in table.rows(columns):
        place = table.place(number)
        text = _string(record, column, place)
        if entities is not None:
            text = mark_entities_of_cell(text, _value(record, entities, place), entities, place)
        yield text, record


def _some(rows: LabelledRows) -> LabelledRows:
    if not rows.texts:
        raise InputError(f"{rows.source} has no rows; give labelled text")
    return rows


def _value(record: dict[str, Any], column: str, place: str) -> Any:
    if column not in record:
        there = ", ".join(map(repr, record))
        raise InputError(f"{place} has no {column!r}, only {there}; give every row one")
    return record[column]


def _string(record: dict[str, Any], column: str, place: str) -> str:
    value = _value(record, column, place)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(
            f"{place}: {column!r} is {type(value).__name__}, not text; name another column with --text-column"
        )
    return value


def _text(record: dict[str, Any], column: str, place: str) -> str:
    text = _string(record, column, place)
    if not text.strip():
        raise InputError(f"{place} has no text in {column!r}; fill it in or remove the row")
    return text


def _label(value: Any, column: str, place: str) -> str | None:
    try:
        return label_name(value)
    except TypeError as error:
        raise InputError(f"{place}: the label in {column!r} is {error}; give one name or number a row") from error


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels, numbers by value before names by letter."""
    return tuple(
        sorted(set(labels), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    )
