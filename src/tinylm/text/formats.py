"""The formats of files by their suffix: the one place where a file's name decides how it is read."""

from pathlib import Path

from tinylm.core.errors import InputError
from tinylm.text.lines import COMPRESSED, UTF_8
from tinylm.text.parquet import Parquet
from tinylm.text.spreadsheet import Spreadsheet
from tinylm.text.tables import Delimited, JsonLines, PlainText, Table

FORMATS: dict[str, type[Table]] = {
    ".txt": PlainText,
    ".jsonl": JsonLines,
    ".csv": Delimited,
    ".tsv": Delimited,
    ".parquet": Parquet,
    ".xlsx": Spreadsheet,
}

_BINARY = (".parquet", ".xlsx")
"""What compresses itself, and has an encoding of its own."""


def plain_suffix(path: Path) -> str:
    """The suffix that names the format, lower-cased: `.csv` for both `a.csv` and `a.csv.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def is_supported(path: Path) -> bool:
    """Whether `open_table` knows the format, by the file's name; not all formats can be compressed."""
    suffix = plain_suffix(path)
    return suffix in FORMATS and not (suffix in _BINARY and path.suffix.lower() in COMPRESSED)


def open_table(path: Path, encoding: str = UTF_8, option: str | None = None) -> Table:
    """The file as a table in the format of its suffix; text formats also `.gz` or `.zst`.

    Args:
        path: the file.
        encoding: of text formats.
        option: the flag that names another encoding, for messages; there is none when None.

    Raises:
        InputError: no format has that suffix.
    """
    if not is_supported(path):
        known = ", ".join(FORMATS)
        raise InputError(
            f"{path} has no format that can be read; give one of {known}, text formats also as .gz or .zst"
        )
    suffix = plain_suffix(path)
    return FORMATS[suffix](path, suffix, encoding, option)
