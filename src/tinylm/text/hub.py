"""Data sets of the Hugging Face hub, streamed: `hf://org/name[/config]`, or `hf://` and a local folder.

Streaming means that a subset of a large data set downloads only what it reads.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinylm.core.errors import InputError, TinyLMError
from tinylm.core.extras import needed

SCHEME = "hf://"
SHUFFLE_BUFFER = 10_000
"""Rows held while a stream is shuffled; shards are shuffled too."""


@contextmanager
def retries_said_once() -> Iterator[None]:
    """Where the hub does not answer, one line says so, in place of two for each request that is tried again."""
    requests, retries = logging.getLogger("huggingface_hub.utils._http"), _Retries()
    requests.addFilter(retries)
    try:
        yield
    finally:
        requests.removeFilter(retries)


class _Retries(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._said = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is shown."""
        text = record.getMessage()
        if "thrown while requesting" in text:
            return False
        if not text.startswith("Retrying in"):
            return True
        record.msg, record.args = "the hub does not answer; trying again for up to half a minute", ()
        self._said, said = True, self._said
        return not said


@dataclass(frozen=True)
class HubSplit:
    """One split of a data set, opened for streaming.

    Attributes:
        source: as the user wrote it.
        split: `train` or `test`.
        fingerprint: changes with the data set's revision.
        columns: its column names.
    """

    source: str
    split: str
    fingerprint: str
    columns: tuple[str, ...]
    _stream: Any

    def rows(self, shuffle_seed: int | None = None) -> Iterator[dict[str, Any]]:
        """Stream the rows, class names in place of their integers; shuffled if a seed is given."""
        stream = self._stream
        if shuffle_seed is not None:
            stream = stream.shuffle(seed=shuffle_seed, buffer_size=SHUFFLE_BUFFER)
        features = stream.features or {}
        # A list of classes has them in the feature that it is of.
        of_entry = {name: getattr(feature, "feature", feature) for name, feature in features.items()}
        classes = {name: feature.names for name, feature in of_entry.items() if hasattr(feature, "names")}
        with _raised_as_input_error(self.source):
            for row in stream:
                for column, names in classes.items():
                    value = row[column]
                    if isinstance(value, list):
                        row[column] = [None if entry < 0 else names[entry] for entry in value]
                    else:
                        row[column] = None if value is None or value < 0 else names[value]
                yield row


def open_hub(source: str, split: str = "train") -> HubSplit | None:
    """Open one split of a hub data set.

    Args:
        source: `hf://org/name`, `hf://org/name/config`, or `hf://` followed by a local folder.
        split: which part.

    Returns:
        The split, or None where the data set has none of that name.

    Raises:
        InputError: no such data set, no configuration of that name, or no network.
        MissingExtraError: `datasets` is not installed.
    """
    datasets = needed("datasets", f"reading {source}")
    path, config = _path_and_config(source)
    with _raised_as_input_error(source):
        builder = datasets.load_dataset_builder(path, config)
        streams = builder.as_streaming_dataset()
        if split not in streams:
            return None
        stream = streams[split]
        columns = tuple(stream.column_names or next(iter(stream), {}))
    return HubSplit(source, split, f"{builder.hash}/{split}", columns, stream)


def _path_and_config(source: str) -> tuple[str, str | None]:
    name = source.removeprefix(SCHEME)
    if Path(name).is_dir():
        return name, None
    parts = name.strip("/").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise InputError(f"{source} names no hub data set; write hf://org/name or hf://org/name/config")
    return "/".join(parts[:2]), parts[2] if len(parts) == 3 else None


@contextmanager
def _raised_as_input_error(source: str) -> Iterator[None]:
    try:
        with retries_said_once():
            yield
    except TinyLMError:
        raise
    # Each library below - datasets, huggingface_hub, fsspec, httpx, pyarrow - has errors of its own.
    except Exception as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{source} cannot be read from the hub ({type(error).__name__}: {reason}); "
            "check the name and the network, or give local files"
        ) from error
