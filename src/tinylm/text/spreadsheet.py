"""Excel workbooks as tables: the first sheet, whose first row that is not empty names the columns."""

import datetime
import re
import zipfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any, Self

from tinylm.core.errors import InputError
from tinylm.core.extras import needed
from tinylm.text.tables import Row, Table

_DIGITS = 15
"""Of a number, as Excel shows at most."""


class Cell(str):
    """What a cell shows, and the value that it holds.

    Attributes:
        value: a number, date, time, truth value or text.
    """

    __slots__ = ("value",)
    value: Any

    @classmethod
    def of(cls, value: Any, number_format: str) -> Self:
        """A cell by its value and by how Excel formats it."""
        cell = cls(_shown(value, number_format))
        cell.value = value
        return cell


class Spreadsheet(Table):
    """`.xlsx`, read row by row; numbers, dates and formulas are text, as they are shown, dates by ISO 8601."""

    unit = "row"

    def columns(self) -> list[str]:
        """See `Table.columns`."""
        with closing(self._rows()) as rows:
            return self._header(rows)

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:  # noqa: ARG002
        """See `Table.rows`; empty rows are none. Each value is a `Cell`, or None where a cell is empty."""
        with closing(self._rows()) as rows:
            header = self._header(rows)
            for number, cells in rows:
                if any(cell is not None for cell in cells[len(header) :]):
                    raise InputError(
                        f"{self.place(number)} has {len(cells)} cells where the header has {len(header)}; "
                        "name their columns in the first row, or empty them"
                    )
                yield number, dict(zip(header, [*cells, *[None] * len(header)], strict=False))

    def _header(self, rows: Iterator[tuple[int, list[Cell | None]]]) -> list[str]:
        number, cells = next(rows, (1, []))
        if not cells:
            raise InputError(f"{self.path} is empty; give a table whose first row names the columns")
        if None in cells:
            raise InputError(f"{self.place(number)} names no column {cells.index(None) + 1}; name it, or remove it")
        header = [name.strip() for name in cells if name is not None]
        repeated = next((name for name in header if header.count(name) > 1), None)
        if repeated is not None:
            raise InputError(f"{self.place(number)} names the column {repeated!r} twice; rename one of them")
        return header

    def _rows(self) -> Generator[tuple[int, list[Cell | None]]]:
        """Rows that are not empty, each with its number and without the empty cells at its end."""
        openpyxl = needed("openpyxl", f"reading {self.path}")
        number = 0
        try:
            with closing(openpyxl.load_workbook(self.path, read_only=True, data_only=True)) as book:
                for number, row in enumerate(book.worksheets[0].iter_rows(), start=1):
                    cells = [Cell.of(c.value, c.number_format) if c.value not in (None, "") else None for c in row]
                    while cells and cells[-1] is None:
                        cells.pop()
                    if cells:
                        yield number, cells
        except FileNotFoundError as error:
            raise InputError(f"{self.path} is not there; check the name") from error
        # openpyxl checks little of what it reads, and stumbles in as many ways as XML can be wrong.
        except (OSError, ValueError, KeyError, IndexError, TypeError, SyntaxError, zipfile.BadZipFile) as error:
            reached = f" after row {number}" if number else ""
            raise InputError(
                f"{self.path} is no whole workbook{reached}; save it again as .xlsx, with a table on its first sheet"
            ) from error


def _shown(value: Any, number_format: str) -> str:
    """A value as a person sees it in the sheet, apart from what depends on their language."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _number(value, number_format)
    if isinstance(value, datetime.datetime):
        return str(value.date()) if value.time() == datetime.time() else value.isoformat(" ")
    return str(value)


def _number(value: float, number_format: str) -> str:
    fixed = re.fullmatch(r"(0+)(?:\.(0+))?(%?)", number_format)
    if fixed is None:
        return str(value) if isinstance(value, int) else f"{value:.{_DIGITS}g}"
    whole, decimals, percent = fixed[1], len(fixed[2] or ""), fixed[3]
    width = len(whole) + (decimals + 1 if decimals else 0)
    return f"{value * (100 if percent else 1):0{width}.{decimals}f}{percent}"
