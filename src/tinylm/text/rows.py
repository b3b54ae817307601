"""Rows of one file, whatever its format: `.txt`, `.jsonl`, `.csv`, `.tsv`, `.parquet`, fastText.

Rows stream; memory does not grow with the file. Every row comes with the number that a person needs to find
it: the line where it begins, or the row of a parquet file, both from 1.
"""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tinylm.core.errors import InputError
from tinylm.core.extras import needed
from tinylm.text.lines import COMPRESSED, plain_suffix, read_lines

Row = tuple[int, dict[str, Any]]

FORMATS = (".txt", ".jsonl", ".csv", ".tsv", ".parquet")

FIELD_LIMIT = 1 << 24
"""Characters in one field of a csv file; more means an open quote, and would fill the memory."""

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_FASTTEXT = re.compile(r"__label__(\S+)(?:\s+|$)")


def is_supported(path: Path) -> bool:
    """Whether `read_rows` knows the format, by the file's name."""
    if plain_suffix(path) == ".parquet":
        return path.suffix.lower() not in COMPRESSED
    return plain_suffix(path) in FORMATS


def where(path: Path, number: int) -> str:
    """How a message names a row: `notes.csv, line 7` or `notes.parquet, row 7`."""
    return f"{path}, {'row' if plain_suffix(path) == '.parquet' else 'line'} {number}"


def column_names(path: Path) -> list[str]:
    """The columns of a file: its header, schema, or the keys of its first JSON object; `["text"]` for `.txt`.

    Raises:
        InputError: as `read_rows`; also when a table has no row to tell its columns.
    """
    if plain_suffix(path) == ".parquet":
        return [str(name) for name in _open_parquet(path).schema_arrow.names]
    if plain_suffix(path) in _DELIMITERS:
        return _header(path, _csv_records(path))
    for _, row in read_rows(path):
        return list(row)
    raise InputError(f"{path} has no rows; give a file with text in it")


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Stream the rows of one file.

    Args:
        path: a file in one of `FORMATS`, text formats also `.gz` or `.zst`; `.txt` has one column, `text`.
        columns: those to read; all when None. Only parquet gains from it.

    Yields:
        The row's number and its values by column. Names of a parquet `ClassLabel` column stand in place of
        its integers.

    Raises:
        InputError: the file cannot be read, or a row is malformed; names the file and the row.
        MissingExtraError: parquet or `.zst` without pyarrow installed.
    """
    suffix = plain_suffix(path)
    if not is_supported(path):
        known = ", ".join(FORMATS)
        raise InputError(
            f"{path} has no format that can be read; give one of {known}, text formats also as .gz or .zst"
        )
    if suffix == ".parquet":
        return _parquet_rows(path, columns)
    if suffix == ".jsonl":
        return _jsonl_rows(path)
    if suffix in _DELIMITERS:
        return _csv_rows(path)
    return ((number, {"text": line.rstrip("\r\n")}) for number, line in read_lines(path))


def read_fasttext(path: Path) -> Iterator[Row]:
    """Stream fastText's `__label__x text` lines as rows with `label` and `text`; blank lines are none.

    Raises:
        InputError: a line without a label or with several, named by file and line.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        label = _FASTTEXT.match(line)
        if label is None:
            raise InputError(f"{where(path, number)} does not begin with __label__; write `__label__name text`")
        text = line[label.end() :].strip()
        if _FASTTEXT.match(text):
            raise InputError(f"{where(path, number)} has several labels; keep the one that is to be learnt")
        yield number, {"label": label.group(1), "text": text}


def _jsonl_rows(path: Path) -> Iterator[Row]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError(f"{where(path, number)} is not JSON ({reason}); mend the line") from error
        if not isinstance(row, dict):
            raise InputError(f"{where(path, number)} is no JSON object; write one {{...}} with named columns a line")
        yield number, row


def _csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The records of a csv or tsv file, each with the line where it begins; blank lines are none."""
    csv.field_size_limit(max(csv.field_size_limit(), FIELD_LIMIT))
    lines = (line for _, line in read_lines(path))
    reader = csv.reader(lines, delimiter=_DELIMITERS[plain_suffix(path)], strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{where(path, begins)}: the row that begins here cannot be parsed ({error}); "
                'close its quotes, and write a quote inside a quoted field as ""'
            ) from error
        if record:
            yield begins, record


def _header(path: Path, records: Iterator[tuple[int, list[str]]]) -> list[str]:
    header = [name.strip() for name in next(records, (0, []))[1]]
    if not header:
        raise InputError(f"{path} is empty; give a table whose first line names the columns")
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{where(path, 1)} names the column {repeated!r} twice; rename one of them")
    return header


def _csv_rows(path: Path) -> Iterator[Row]:
    records = _csv_records(path)
    header = _header(path, records)
    for number, record in records:
        if len(record) != len(header):
            raise InputError(
                f"{where(path, number)} has {len(record)} fields where the header has {len(header)}; "
                "quote fields that contain the delimiter"
            )
        yield number, dict(zip(header, record, strict=True))


def _open_parquet(path: Path) -> Any:
    parquet = needed("pyarrow.parquet", f"reading {path}")
    try:
        return parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is no whole parquet file; write or fetch it again, or give it the suffix of its format"
        ) from error


def _parquet_rows(path: Path, columns: Sequence[str] | None) -> Iterator[Row]:
    file = _open_parquet(path)
    classes = _class_names(file.schema_arrow)
    number = 0
    try:
        for batch in file.iter_batches(batch_size=1024, columns=columns):
            for row in batch.to_pylist():
                number += 1
                for column in classes.keys() & row.keys():
                    row[column] = _class_name(path, number, row[column], classes[column])
                yield number, row
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is damaged after row {number} ({_first_line(error)}); fetch or write it again"
        ) from error


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Columns that `datasets` wrote as ClassLabel: integers in the file, names in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"].items()
    except (AttributeError, KeyError, TypeError, ValueError):
        # Other writers leave the metadata out, or use the key in their own way; then there are no names.
        return {}
    return {
        column: feature["names"]
        for column, feature in features
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and "names" in feature
    }


def _class_name(path: Path, number: int, value: int | None, names: Sequence[str]) -> str | None:
    # -1 is how `datasets` writes "no label".
    if value is None or value == -1:
        return None
    if not 0 <= value < len(names):
        raise InputError(f"{where(path, number)} has class {value} where the schema names {len(names)}; mend the file")
    return names[value]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
