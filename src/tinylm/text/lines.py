"""Text files as numbered lines: plain, `.gz` or `.zst`, UTF-8, streamed.

Everything that can be wrong with the bytes of a file - absent, cut short, not UTF-8 - is reported here, with
the file and the line, so that the readers above deal with whole lines only.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tinylm.core.errors import InputError
from tinylm.core.extras import needed

COMPRESSED = (".gz", ".zst")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Stream the lines of a text file, decompressed and decoded.

    Args:
        path: a UTF-8 file, with or without a byte order mark; `.gz` and `.zst` are decompressed.

    Yields:
        The line's number, from 1, and the line with its `\n`.

    Raises:
        InputError: the file cannot be opened, is cut short or corrupt, or a line is not UTF-8.
        MissingExtraError: a `.zst` file without pyarrow installed.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                yield number, _decode(path, number, line)
    except EOFError as error:
        raise InputError(f"{path} is cut short after line {number}; fetch or compress it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path} is no intact gzip file (after line {number}: {error}); fetch or compress it again"
        ) from error
    except OSError as error:
        reached = f" after line {number}" if number else ""
        raise InputError(
            f"{path} cannot be read{reached} ({error.strerror or error}); "
            "check the name, its permissions and that it is whole"
        ) from error


def _open(path: Path) -> BinaryIO:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if suffix == ".zst":
        return _open_zst(path)
    return path.open("rb")


def _open_zst(path: Path) -> BinaryIO:
    pyarrow = needed("pyarrow", f"reading {path}")
    return cast(BinaryIO, io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd")))


def _decode(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, line {number}, byte {error.start + 1} of the line is not UTF-8; "
            "convert the file, for instance with iconv -t UTF-8"
        ) from error
