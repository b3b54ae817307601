"""Text files as numbered lines: plain, `.gz` or `.zst`, UTF-8 or as requested, streamed.

Everything that can be wrong with the bytes of a file - absent, cut short, not of its encoding - is reported here,
with the file and the line, so that the readers above deal with whole lines only.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tinylm.core.errors import InputError
from tinylm.core.extras import needed

COMPRESSED = (".gz", ".zst")
UTF_8 = "utf-8"
ENCODING = "--encoding"
"""The flag for files of texts and labels."""

_PIECE = 1 << 16


def require_encoding(name: str) -> None:
    """Refuse an encoding that Python does not have.

    Raises:
        InputError: there is none of that name, or it is none of text.
    """
    try:
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise InputError(
            f"there is no encoding {name!r}; give one that Python knows, such as utf-8, cp1252 or utf-16"
        ) from error


def read_lines(path: Path, encoding: str = UTF_8, option: str | None = None) -> Iterator[tuple[int, str]]:
    r"""Stream the lines of a text file, decompressed and decoded.

    Args:
        path: the file, with or without a byte order mark; `.gz` and `.zst` are decompressed.
        encoding: of its bytes.
        option: the flag that names another encoding; there is none when None.

    Yields:
        The line's number, from 1, and the line with its `\n`.

    Raises:
        InputError: the file cannot be opened, is cut short or corrupt, or a line is not of its encoding.
        MissingExtraError: a `.zst` file without pyarrow installed.
    """
    number = 0
    try:
        with _open(path) as file:
            if codecs.lookup(encoding).name == UTF_8:
                for number, raw in enumerate(file, start=1):
                    yield number, _decode(path, number, raw, option)
            else:
                for number, line in enumerate(_decoded(path, file, encoding, option), start=1):
                    yield number, line
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


def _decode(path: Path, number: int, line: bytes, option: str | None) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else UTF_8)
    except UnicodeDecodeError as error:
        likely = "utf-16" if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "cp1252"
        remedy = (
            f"name what it is with {option}, for instance {option} {likely}"
            if option
            else "convert the file, for instance with iconv -t UTF-8"
        )
        raise InputError(f"{path}, line {number}, byte {error.start + 1} of the line is not UTF-8; {remedy}") from error


def _decoded(path: Path, file: BinaryIO, encoding: str, option: str | None) -> Iterator[str]:
    r"""The lines, each with its `\n`, of a file in any encoding, whose characters may have `\n` among their bytes."""
    decoder = codecs.getincrementaldecoder(encoding)()
    text, lines, piece = "", 0, b"first"
    while piece:
        piece, before = file.read(_PIECE), decoder.getstate()
        try:
            decoded = decoder.decode(piece, final=not piece)
        except UnicodeError as error:
            line = 1 + lines + text.count("\n") + _lines_before_error(encoding, before, piece)
            raise InputError(f"{path}, line {line} is not {encoding}; name another {option}") from error
        *whole, text = (text + (decoded if lines or text else decoded.removeprefix("\ufeff"))).split("\n")
        lines += len(whole)
        yield from (f"{line}\n" for line in whole)
    if text:
        yield text


def _lines_before_error(encoding: str, state: tuple[bytes, int], piece: bytes) -> int:
    """Line ends of a piece that stand before what cannot be decoded."""
    lenient = codecs.getincrementaldecoder(encoding)(errors="replace")
    lenient.setstate(state)
    return lenient.decode(piece, final=True).partition("\ufffd")[0].count("\n")
