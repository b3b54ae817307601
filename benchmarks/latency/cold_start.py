"""The job `cold` of the latency benchmark: from the start of a process to its first answer.

Files are in the system's cache, as they are on a machine that has answered before; the first process of each command
is not counted.
"""

import math
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.latency.specs import (
    ONNX_RUNTIME,
    PACKAGES,
    REFERENCE,
    RESULTS,
    TINYLM,
    TRANSFORMERS,
    Setup,
)
from benchmarks.runner import environment, pinned, save_results

_PROCESSES, _SLOW_PROCESSES = 20, 5
_SLOW_SECONDS = 2.0
_TEXT = "Shares of the company rose after it reported its earnings for the third quarter."


def cold(setup: Setup) -> None:
    """Commands that alternate."""
    committee = next(spec for spec in TINYLM if spec.name == "tinylm four w256, int8")
    baselines = [next(e for e in ONNX_RUNTIME if e.name == "ONNX Runtime BERT-6, int8"), TRANSFORMERS[0]]
    ours = setup.prepare([REFERENCE, committee])
    commands: dict[str, list[str]] = {
        "python alone": _python("print()"),
        "import tinylm": _python("import tinylm; print()"),
        "import tinylm.runtime.classifier": _python("import tinylm.runtime.classifier; print()"),
    }
    for spec in ours:
        folder = setup.files(spec)
        code = f"import tinylm; print(tinylm.load({str(folder)!r}).predict({_TEXT!r}))"
        commands[f"tinylm.load and predict, {spec.name}"] = _python(code)
        commands[f"tinylm predict, {spec.name}"] = [sys.executable, "-m", "tinylm", "predict", str(folder), _TEXT]
    for baseline in setup.prepare(setup.choose(baselines)):
        if baseline not in ours:
            commands[baseline.name] = [sys.executable, *setup.command(baseline), "--once", _TEXT]
    with pinned(1):
        silent = [name for name, command in commands.items() if _first_line(command) is None]
        for name in silent:
            print(f"{name} is left out: it ended without an answer", flush=True)
            del commands[name]
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(min(_PROCESSES, 2 * setup.rounds)):
            for name, command in commands.items():
                own = seconds[name]
                if number < _SLOW_PROCESSES or median(own) < _SLOW_SECONDS:
                    own.append(_first_line(command) or math.nan)
    rows = [{"name": name, "seconds": times, "median": median(times)} for name, times in seconds.items()]
    _show(rows)
    save_results(RESULTS, "cold", rows, PACKAGES)


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _first_line(command: Sequence[str]) -> float | None:
    """Seconds until a process has written a line; None if it writes none."""
    # Python writes to a terminal line by line, and to a pipe when it ends.
    settings = environment(1) | {"PYTHONUNBUFFERED": "1"}
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=settings) as process:
        line = process.stdout.readline() if process.stdout else b""
        seconds = time.perf_counter() - start
    return seconds if line else None


def _show(rows: Sequence[dict[str, Any]]) -> None:
    alone = rows[0]["median"]
    print("\n**From the start of a process to its first answer**\n")
    print("| | ms, median | min to max | without Python's own start | processes |")
    print("|---|--:|--:|--:|--:|")
    for row in rows:
        low, middle, high = (1000 * value for value in (min(row["seconds"]), row["median"], max(row["seconds"])))
        own = 1000 * (row["median"] - alone)
        print(f"| {row['name']} | {middle:,.0f} | {low:,.0f} to {high:,.0f} | {own:,.0f} | {len(row['seconds'])} |")
    print(flush=True)
