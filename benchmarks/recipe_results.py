"""Results of runs, kept in one file: what is in it is not run again, whichever machine it was run on.

A result is known by the hash of the settings that it came from, and of the edition of the training code.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rounds import machine
from tinylm.core.files import write_text

Facts = dict[str, Any]
"""What JSON can hold, by name."""


class UnknownResultError(LookupError):
    """A result is not in the file, and nothing shall be run."""


@dataclass(frozen=True)
class Results:
    """A file of results.

    Attributes:
        file: JSON; made with the first result.
        complete: nothing is run any more.
    """

    file: Path
    complete: bool = False

    def of(self, facts: Facts, measure: Callable[[], Facts]) -> Facts:
        """What was measured of a run with these settings, now or before.

        Args:
            facts: the settings.
            measure: runs it, where it is not known.

        Raises:
            UnknownResultError: it is not known, and the file is complete.
        """
        name = run_name(facts)
        known = self._read()
        if name not in known:
            if self.complete:
                raise UnknownResultError(name)
            measured = measure()
            entry = {"facts": facts, "measured": measured, "machine": _machine(), "when": time.strftime("%Y-%m-%d")}
            # Another process may have written while this one measured.
            self._write(self._read() | {name: entry})
            return measured
        return known[name]["measured"]

    def machines(self) -> list[str]:
        """The machines that the results come from, with how many are whose."""
        counted = Counter(_described(entry["machine"]) for entry in self._read().values())
        return [f"{name}: {count} results" for name, count in counted.most_common()]

    def _write(self, entries: dict[str, Facts]) -> None:
        """One line a result, for those who compare versions of the file."""
        lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(entries.items()))
        write_text(self.file, "{\n" + ",\n".join(lines) + "\n}\n")

    def _read(self) -> dict[str, Facts]:
        return json.loads(self.file.read_text(encoding="utf-8")) if self.file.is_file() else {}


def run_name(facts: Facts) -> str:
    """The name of a run with these settings: its kind and a hash."""
    name = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=6).hexdigest()
    return f"{facts['kind']}-{name}"


def _machine() -> Facts:
    return machine(("torch",)) | {"instructions": torch.backends.cpu.get_cpu_capability()}


def _described(machine: Facts) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())
