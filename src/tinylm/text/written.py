"""Tables that tinylm writes: the rows of a table that was read, with further columns, in any format but plain text."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from tinylm.core.errors import InputError
from tinylm.core.extras import needed
from tinylm.core.files import new_file
from tinylm.text.parquet import Parquet
from tinylm.text.spreadsheet import Cell
from tinylm.text.tables import Delimited, Table

WRITTEN = (".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")

Write = Callable[[Sequence[Mapping[str, Any]]], None]


def require_writable(target: Path) -> None:
    """Refuse a file that is there, or whose format is not written.

    Raises:
        InputError: it is one of these.
    """
    if target.suffix.lower() not in WRITTEN:
        raise InputError(f"{target} has no format that can be written; name it {', '.join(WRITTEN)}")
    if target.exists():
        raise InputError(f"{target} is there already; choose another file")


@contextmanager
def new_table(target: Path, columns: Sequence[str], like: Table) -> Iterator[Write]:
    """A table in the format of its suffix, whole once the block ends well, and else not there.

    Args:
        target: the file.
        columns: all of them, in their order; what a row does not have is empty.
        like: the table whose rows are written; where both are csv, fields are separated alike, and where both are
            workbooks, cells keep their values.

    Yields:
        What writes some rows.

    Raises:
        InputError: a value does not fit the format.
        MissingExtraError: the format needs the `train` or the `tables` extra.
    """
    suffix = target.suffix.lower()
    with new_file(target) as temporary, ExitStack() as stack:
        if suffix == ".jsonl":
            yield stack.enter_context(_json_lines(temporary))
        elif suffix == ".parquet":
            yield _checked(stack.enter_context(_parquet(temporary, target, columns, like)), target, columns)
        elif suffix == ".xlsx":
            yield _checked(stack.enter_context(_workbook(temporary, target, columns)), target, columns)
        else:
            delimiter = "\t" if suffix == ".tsv" else ","
            if isinstance(like, Delimited) and like.suffix == suffix:
                delimiter = like.delimiter
            yield _checked(stack.enter_context(_delimited(temporary, columns, delimiter)), target, columns)


def _checked(write: Write, target: Path, columns: Sequence[str]) -> Write:
    """The same, but for rows with a value that has no column."""

    def checked(rows: Sequence[Mapping[str, Any]]) -> None:
        further = next((name for row in rows for name in row if name not in columns), None)
        if further is not None:
            raise InputError(f"{target} has no column for {further!r}, which the first row does not have; write .jsonl")
        write(rows)

    return checked


@contextmanager
def _delimited(file: Path, columns: Sequence[str], delimiter: str) -> Iterator[Write]:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns)
        yield lambda rows: writer.writerows([_as_text(row.get(column)) for column in columns] for row in rows)


@contextmanager
def _json_lines(file: Path) -> Iterator[Write]:
    with file.open("w", encoding="utf-8") as out:
        yield lambda rows: out.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


@contextmanager
def _parquet(file: Path, target: Path, columns: Sequence[str], like: Table) -> Iterator[Write]:
    pyarrow, parquet = needed("pyarrow", f"writing {target}"), needed("pyarrow.parquet", f"writing {target}")
    known = like.types() if isinstance(like, Parquet) else {}
    with ExitStack() as stack:
        writer: Any = None

        def write(rows: Sequence[Mapping[str, Any]]) -> None:
            nonlocal writer
            try:
                arrays = {name: pyarrow.array([row.get(name) for row in rows], known.get(name)) for name in columns}
            except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
                reason = str(error).partition("\n")[0].rstrip(".")
                raise InputError(
                    f"{target} cannot hold values of several types in one column ({reason}); write .jsonl"
                ) from error
            if writer is None:
                # A column that is empty so far is text.
                arrays = {
                    name: a.cast(pyarrow.string()) if a.type == pyarrow.null() else a for name, a in arrays.items()
                }
                known.update({name: array.type for name, array in arrays.items()})
                writer = stack.enter_context(
                    closing(parquet.ParquetWriter(file, pyarrow.schema([(name, known[name]) for name in columns])))
                )
            writer.write_table(pyarrow.table(arrays))

        yield write
        if writer is None:
            write([])


@contextmanager
def _workbook(file: Path, target: Path, columns: Sequence[str]) -> Iterator[Write]:
    openpyxl = needed("openpyxl", f"writing {target}")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(list(columns))

    def cell(value: Any) -> Any:
        shown = _as_cell(value)
        if not isinstance(shown, str) or not shown.startswith("="):
            return shown
        # Text of a table is no formula.
        made = openpyxl.cell.WriteOnlyCell(sheet, shown)
        made.data_type = "s"
        return made

    def write(rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            try:
                sheet.append([cell(row.get(column)) for column in columns])
            # Excel knows no control characters, and no moments with a time zone.
            except (openpyxl.utils.exceptions.IllegalCharacterError, ValueError, TypeError) as error:
                raise InputError(f"{target} cannot hold a value of some row ({error}); write .csv or .jsonl") from error

    yield write
    book.save(file)


def _as_text(value: Any) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)


def _as_cell(value: Any) -> Any:
    if isinstance(value, Cell):
        return value.value
    return value if isinstance(value, int | float | str | date | None) else _as_text(value)
