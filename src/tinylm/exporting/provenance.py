"""What an artefact keeps of the record of its training: enough to evaluate it, and no path of the machine it came from.

`evaluation.examples` recognises the labelled text of the training by its fingerprint.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KEPT = ("task_fingerprint", "settings")
_SOURCE_PATHS = ("source", "test")
_SOURCE_KEPT = (
    "text_column",
    "label_column",
    "label_separator",
    "label_columns",
    "train_per_label",
    "test_per_label",
)


def shareable(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a training without paths: of files only their names stay.

    Args:
        record: of `run.json`; empty where there is none.

    Returns:
        `task`, `task_fingerprint`, `task_source` and `settings`, as far as the record has them.
    """
    kept = {key: record[key] for key in _KEPT if key in record}
    if record.get("task"):
        kept["task"] = without_folder(str(record["task"]))
    if record.get("task_source"):
        source: Mapping[str, Any] = record["task_source"]
        paths = {key: source[key] and without_folder(source[key]) for key in _SOURCE_PATHS if key in source}
        kept["task_source"] = paths | {key: source[key] for key in _SOURCE_KEPT if key in source}
    return kept


def without_folder(source: str) -> str:
    """The name of a file or folder; `hf://org/name` and data sets known by name stay as they are."""
    return source if "://" in source else Path(source).name or source
