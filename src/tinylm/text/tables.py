"""One file as a table: columns, rows, and the place of a row in a message. The formats that are text are here.

Rows stream; memory does not grow with the file. Every row comes with the number that a person needs to find
it: the line where it begins, or the row of a parquet file, both from 1. `formats.open_table` picks the class.
"""

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tinylm.core.errors import InputError
from tinylm.text.lines import UTF_8, read_lines

Row = tuple[int, dict[str, Any]]

FIELD_LIMIT = 1 << 24
"""Characters in one field of a csv file; more means an open quote, and would fill the memory."""

_FASTTEXT = re.compile(r"__label__(\S+)(?:\s+|$)")


class Table(ABC):
    """One file in the format that its suffix names; nothing is read before it is needed.

    Attributes:
        path: the file.
        suffix: of the format, without that of the compression: `.csv` for `a.csv.gz`.
        encoding: of formats that are text.
        option: the flag that names another encoding, for messages; there is none when None.
    """

    unit: ClassVar[str] = "line"
    """What the number of a row counts."""

    def __init__(self, path: Path, suffix: str, encoding: str = UTF_8, option: str | None = None) -> None:
        self.path = path
        self.suffix = suffix
        self.encoding = encoding
        self.option = option

    def place(self, number: int) -> str:
        """How a message names a row: `notes.csv, line 7` or `notes.parquet, row 7`."""
        return f"{self.path}, {self.unit} {number}"

    def lines(self) -> Iterator[tuple[int, str]]:
        """The lines of a format that is text, see `read_lines`."""
        return read_lines(self.path, self.encoding, self.option)

    @abstractmethod
    def columns(self) -> list[str]:
        """The names of the columns: of the header, the schema, or the keys of the first JSON object.

        Raises:
            InputError: as `rows`; also when there is no row to name the columns.
        """

    @abstractmethod
    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Stream the rows from the beginning.

        Args:
            columns: those to read; all when None. Only parquet gains from it.

        Yields:
            The row's number and its values by column.

        Raises:
            InputError: the file cannot be read, or a row is malformed; names the file and the row.
            MissingExtraError: parquet or `.zst` without pyarrow installed.
        """


class PlainText(Table):
    """`.txt`: one column, `text`, of which each line is a row."""

    def columns(self) -> list[str]:
        """Always `["text"]`."""
        return ["text"]

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:  # noqa: ARG002
        """See `Table.rows`; blank lines are rows too."""
        return ((number, {"text": line.rstrip("\r\n")}) for number, line in self.lines())

    def fasttext_rows(self) -> Iterator[Row]:
        """Stream fastText's `__label__x text` lines as rows with `labels`, a list, and `text`; blank lines are none."""
        for number, line in self.lines():
            if not line.strip():
                continue
            labels, text = [], line
            while (label := _FASTTEXT.match(text)) is not None:
                labels.append(label.group(1))
                text = text[label.end() :]
            yield number, {"labels": labels, "text": text.strip()}


class JsonLines(Table):
    """`.jsonl`: each line is an object; the first one names the columns."""

    def columns(self) -> list[str]:
        """See `Table.columns`."""
        for _, row in self.rows():
            return list(row)
        raise InputError(f"{self.path} has no rows; give a file with text in it")

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:  # noqa: ARG002
        """See `Table.rows`; blank lines are none."""
        for number, line in self.lines():
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                raise InputError(f"{self.place(number)} is not JSON ({reason}); mend the line") from error
            if not isinstance(row, dict):
                raise InputError(f"{self.place(number)} is no JSON object; write one {{...}} with named columns a line")
            yield number, row


class Delimited(Table):
    """`.csv` and `.tsv`: the first line names the columns.

    A file that is one column by the delimiter of its suffix is read with the first of `;`, tab and comma that makes
    more of its header, as spreadsheets write it where a comma is the decimal point.
    """

    delimiters: ClassVar[dict[str, str]] = {".csv": ",", ".tsv": "\t"}

    @property
    def delimiter(self) -> str:
        """What stands between two fields.

        Raises:
            InputError: as `rows`.
        """
        usual = self.delimiters[self.suffix]
        header = next((line for _, line in self.lines() if line.strip()), "")
        return next((d for d in (usual, ";", "\t", ",") if _fields(header, d) > 1), usual)

    def columns(self) -> list[str]:
        """See `Table.columns`."""
        return self._header(self._records())

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:  # noqa: ARG002
        """See `Table.rows`; blank lines are none."""
        records = self._records()
        header = self._header(records)
        for number, record in records:
            if len(record) != len(header):
                raise InputError(
                    f"{self.place(number)} has {len(record)} fields where the header has {len(header)}; "
                    "quote fields that contain the delimiter"
                )
            yield number, dict(zip(header, record, strict=True))

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The records, the header first, each with the line where it begins."""
        csv.field_size_limit(max(csv.field_size_limit(), FIELD_LIMIT))
        lines = (line for _, line in self.lines())
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            begins = reader.line_num + 1
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InputError(
                    f"{self.place(begins)}: the row that begins here cannot be parsed ({error}); "
                    'close its quotes, and write a quote inside a quoted field as ""'
                ) from error
            if record:
                yield begins, record

    def _header(self, records: Iterator[tuple[int, list[str]]]) -> list[str]:
        header = [name.strip() for name in next(records, (0, []))[1]]
        if not header:
            raise InputError(f"{self.path} is empty; give a table whose first line names the columns")
        repeated = next((name for name in header if header.count(name) > 1), None)
        if repeated is not None:
            raise InputError(f"{self.place(1)} names the column {repeated!r} twice; rename one of them")
        return header


def _fields(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter, strict=True)))
    except csv.Error:
        return 0
