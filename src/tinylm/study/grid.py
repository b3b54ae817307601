"""A study is a grid of runs: every combination of the levels of its factors, with every seed.

Each run is stored under the hash of its facts: all that determines its result, among them the edition of the training
code. What is stored is never run again, whichever machine ran it, and each result is written as soon as it is measured,
so that killing a study loses the run in flight and no other. A run that fails is stored with its reason.
"""

import hashlib
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

from tinylm.core.errors import InputError, InterruptedByUserError
from tinylm.core.files import write_text

Facts = dict[str, Any]
"""What JSON can hold, by name."""

Levels = Mapping[str, Any]
"""One level of each factor, by the factor's name."""


class UnknownResultError(LookupError):
    """A result is not stored, and nothing shall be run."""


class FailedRunError(RuntimeError):
    """A run failed, now or when it was stored; the message is its reason."""


@dataclass(frozen=True)
class Store:
    """A file of results, one line each; made with the first result."""

    file: Path
    complete: bool = False
    """Nothing is run: what is not stored is unknown."""
    retry: bool = False
    """Runs that are stored as failed are run again."""

    def measure(self, facts: Facts, run: Callable[[], Facts]) -> Facts:
        """What was measured of a run, now or before.

        Args:
            facts: all that determines the result; `kind` is part of its name.
            run: measures it, where it is not stored.

        Raises:
            UnknownResultError: it is not stored, and the store is complete.
            FailedRunError: it failed. Bad input and Ctrl-C are raised as they are, and not stored.
        """
        name = run_name(facts)
        entry = self.find(name)
        if entry is None or ("failed" in entry and self.retry and not self.complete):
            if self.complete:
                raise UnknownResultError(name)
            began = time.perf_counter()
            entry = {"facts": facts, **_outcome(run), "machine": machine(), "when": time.strftime("%Y-%m-%d")}
            self.keep(name, entry | {"seconds": round(time.perf_counter() - began, 2)})
        if "failed" in entry:
            raise FailedRunError(entry["failed"])
        measured: Facts = entry["measured"]
        return measured

    def find(self, name: str) -> Facts | None:
        """The entry of a run, if any: `facts`, `measured` or `failed`, `machine`, `when`, `seconds`."""
        return self._read().get(name)

    def keep(self, name: str, entry: Facts) -> None:
        """Write the entry of a run."""
        # Another process may have written while this one measured.
        self._write(self._read() | {name: entry})

    def machines(self) -> list[str]:
        """The machines that the results come from, with how many are whose."""
        return machines_of(self._read().values())

    def _write(self, entries: Mapping[str, Facts]) -> None:
        # A line a result, so that versions of the file can be compared.
        lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(entries.items()))
        write_text(self.file, "{\n" + ",\n".join(lines) + "\n}\n")

    def _read(self) -> dict[str, Facts]:
        if not self.file.is_file():
            return {}
        try:
            entries: dict[str, Facts] = json.loads(self.file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{self.file} is no file of results ({error}); fix it, or name another") from error
        return entries


@dataclass(frozen=True)
class Cell:
    """The runs of one combination of levels, by seed; a seed that is not stored where nothing is run is in neither."""

    levels: Levels
    measured: Mapping[int, Facts] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    """The reason."""

    def values(self, name: str = "accuracy") -> dict[int, float]:
        """One measure by seed, of the runs that have it."""
        return {seed: float(facts[name]) for seed, facts in self.measured.items() if facts.get(name) is not None}


@dataclass(frozen=True)
class Grid:
    """Factors, their levels, and what a run with one level of each does."""

    factors: Mapping[str, Sequence[Any]]
    seeds: Sequence[int]
    run: Callable[[Levels, int], Facts]
    """Measures one run, given its levels and its seed."""
    facts: Callable[[Levels, int], Facts]
    """All that determines the result of a run: see `Store.measure`."""

    def measure(self, store: Store) -> Iterator[Cell]:
        """Every cell in the order of the factors, as soon as its seeds are run or known."""
        for combination in product(*self.factors.values()):
            levels = dict(zip(self.factors, combination, strict=True))
            measured, failed = {}, {}
            for seed in self.seeds:
                try:
                    with suppress(UnknownResultError):
                        measured[seed] = store.measure(self.facts(levels, seed), partial(self.run, levels, seed))
                except FailedRunError as error:
                    failed[seed] = str(error)
            yield Cell(levels, measured, failed)


def run_name(facts: Facts) -> str:
    """The name of a run with these facts: its kind and a hash."""
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=6).hexdigest()
    return f"{facts['kind']}-{digest}"


def machines_of(entries: Iterable[Facts]) -> list[str]:
    """The machines that some entries come from, with how many are whose."""
    described = (", ".join(f"{key} {value}" for key, value in entry["machine"].items()) for entry in entries)
    return [f"{name}: {count} results" for name, count in Counter(described).most_common()]


def machine() -> Facts:
    """Processor, cores, GPU and versions."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    found: Facts = {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    with suppress(PackageNotFoundError):
        found["torch"] = version("torch")
        import torch  # noqa: PLC0415

        found["instructions"] = torch.backends.cpu.get_cpu_capability()
        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name()
    return found


def _outcome(run: Callable[[], Facts]) -> Facts:
    try:
        return {"measured": run()}
    except (InputError, InterruptedByUserError):
        raise
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}
