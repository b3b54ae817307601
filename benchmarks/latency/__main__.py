"""How fast an answer is, text to label, beside what else one could use, in one run.

    python -m benchmarks.latency [answer|batch|growth|cold] --data ../shared/data [--only NAME...]

All four without a name. Each subject is a process of its own (`subjects.py`) on one thread of one core, they alternate
on the same texts (`benchmarks/runner.py`), and the numbers are kept in `runs/benchmarks/latency.json`. Weights are
random but for the baselines that are trained on the task and for `--model` (`prepare.py`). A baseline whose library is
missing is left out, with a line that says what to install.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.latency.answer import answer
from benchmarks.latency.batch import batch
from benchmarks.latency.cold_start import cold
from benchmarks.latency.growth import growth
from benchmarks.latency.specs import PACKAGES, Setup
from benchmarks.runner import machine


def main() -> None:
    """Run one job, or all."""
    jobs: dict[str, Callable[[Setup], None]] = {"answer": answer, "batch": batch, "growth": growth, "cold": cold}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", nargs="?", choices=jobs, help="all when left out")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of the data sets")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of each subject")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="subjects with this in their name")
    parser.add_argument("--model", nargs="+", type=Path, default=(), help="trained models, measured beside the others")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks/prepared"), help="what subjects load")
    arguments = parser.parse_args()
    setup = Setup(arguments.data, arguments.work, arguments.rounds, arguments.only, arguments.model)
    print(", ".join(f"{name} {value}" for name, value in machine(PACKAGES).items()), flush=True)
    for name, job in jobs.items():
        if arguments.job in (None, name):
            start = time.perf_counter()
            job(setup)
            print(f"{name}: {(time.perf_counter() - start) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
