"""Parquet files as tables, and the class names that the library `datasets` writes into their schema."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tinylm.core.errors import InputError
from tinylm.core.extras import needed
from tinylm.text.tables import Row, Table


class Parquet(Table):
    """`.parquet`, read batch by batch and only in the columns that are requested."""

    unit = "row"

    def columns(self) -> list[str]:
        """See `Table.columns`."""
        return [str(name) for name in self._open().schema_arrow.names]

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """See `Table.rows`; names of a `ClassLabel` column, or of one of lists of them, stand in place of integers."""
        file = self._open()
        classes = _class_names(file.schema_arrow)
        number = 0
        try:
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    for column in classes.keys() & row.keys():
                        row[column] = self._class_name(number, row[column], classes[column])
                    yield number, row
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path} is damaged after row {number} ({_first_line(error)}); fetch or write it again"
            ) from error

    def types(self) -> dict[str, Any]:
        """The Arrow type of each column as `rows` gives it."""
        pyarrow, schema = needed("pyarrow", f"reading {self.path}"), self._open().schema_arrow
        return {field.name: field.type for field in schema} | dict.fromkeys(_class_names(schema), pyarrow.string())

    def _open(self) -> Any:
        parquet = needed("pyarrow.parquet", f"reading {self.path}")
        try:
            return parquet.ParquetFile(self.path)
        except FileNotFoundError as error:
            raise InputError(f"{self.path} is not there; check the name") from error
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path} is no whole parquet file; write or fetch it again, or give it the suffix of its format"
            ) from error

    def _class_name(
        self, number: int, value: int | list[int] | None, names: Sequence[str]
    ) -> str | list[str | None] | None:
        if isinstance(value, list):
            return [self._one_name(number, entry, names) for entry in value]
        return self._one_name(number, value, names)

    def _one_name(self, number: int, value: int | None, names: Sequence[str]) -> str | None:
        # -1 is how `datasets` writes "no label".
        if value is None or value == -1:
            return None
        if not 0 <= value < len(names):
            raise InputError(
                f"{self.place(number)} has class {value} where the schema names {len(names)}; mend the file"
            )
        return names[value]


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Columns that `datasets` wrote as ClassLabel: integers in the file, names in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"].items()
    except (AttributeError, KeyError, TypeError, ValueError):
        # Other writers leave the metadata out, or use the key in their own way; then there are no names.
        return {}
    found = {column: _entry(feature) for column, feature in features}
    return {
        column: feature["names"]
        for column, feature in found.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and "names" in feature
    }


def _entry(feature: Any) -> Any:
    """What a list is of, in each way that `datasets` has written lists; anything else is itself."""
    if isinstance(feature, list) and feature:
        return feature[0]
    if isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        return feature.get("feature")
    return feature


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
