"""Results that are kept as they are made: a file of JSON with one entry a measurement."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinylm.core.files import write_json


def add_results(parser: argparse.ArgumentParser, subject: str) -> None:
    """Add `--results`, the file where those of a subject are kept."""
    default = Path(f"runs/benchmarks/{subject}.json")
    parser.add_argument("--results", type=Path, default=default, help="where they are kept [%(default)s]")


def measure_once(path: Path, key: str, measure: Callable[[], dict[str, Any]]) -> None:
    """Print what the file has under `key`; where it has nothing, measure and add it at once."""
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if key not in results:
        results[key] = measure()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, results)
    print(key, results[key], flush=True)
