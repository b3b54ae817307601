"""Runs as folders, shared by all studies: `KIND-HASH/result.json`, with what the run made beside it.

A run in flight has its folder already, in which training keeps its checkpoints; `result.json` is written last. Each run
writes a file of its own, so that runs can go side by side.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tinylm.core.errors import InputError
from tinylm.core.files import write_json
from tinylm.study.grid import Facts, Store

RESULT = "result.json"


@dataclass(frozen=True)
class RunFolders(Store):
    """A folder of runs; `file` is that folder."""

    def folder(self, name: str) -> Path:
        """Where a run keeps its files."""
        return self.file / name

    def find(self, name: str) -> Facts | None:
        """See `Store.find`."""
        path = self.folder(name) / RESULT
        if not path.is_file():
            return None
        try:
            entry: Facts = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is no result of a run ({error}); remove {path.parent} and run again") from error
        return entry

    def keep(self, name: str, entry: Facts) -> None:
        """See `Store.keep`."""
        write_json(self.folder(name) / RESULT, entry)

    def entries(self, names: Iterable[str]) -> list[Facts]:
        """The entries of those runs that are stored."""
        return [entry for name in names if (entry := self.find(name)) is not None]
