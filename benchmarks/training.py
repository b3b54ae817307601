"""Training speed and memory beside the loops one would write with `transformers`, in one run.

    python benchmarks/training.py [pretrain|finetune|tokenise] --data ../shared/data

All three without a name. Each contender is a process of its own (`contenders.py`), they take turns round by round
(`rounds.py`), and the numbers are kept in `runs/benchmarks/training.json`. BERT-6 in float32 takes most of the time:
about 20 seconds an update on two cores.
"""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rounds import Result, alternate, machine, show, write

CONTENDERS = Path(__file__).with_name("contenders.py")
RESULTS = Path("runs/benchmarks/training.json")


@dataclass(frozen=True)
class _Pace:
    """Updates before the first round, and updates a round."""

    warmup: int
    steps: int


def pretrain(data: Path, rounds: int, threads: int) -> None:
    """Pre-training of BERT-1 and BERT-6, tokens a second."""
    paces = {
        "bert-1": {"tinylm": _Pace(3, 10), "float32": _Pace(1, 2), "bfloat16": _Pace(1, 3)},
        "bert-6": {"tinylm": _Pace(1, 3), "float32": _Pace(1, 2), "bfloat16": _Pace(1, 2)},
    }
    for shape, contenders in paces.items():
        results = _compete("pretrain", contenders, data, rounds, threads, "--shape", shape)
        _keep(f"pre-training {shape}", "tokens", results, threads)


def finetune(data: Path, rounds: int, threads: int) -> None:
    """Fine-tuning of BERT-1 on FewRel, texts a second."""
    contenders = {"tinylm": _Pace(10, 60), "float32": _Pace(1, 3), "bfloat16": _Pace(1, 5)}
    _keep("fine-tuning bert-1 on FewRel", "texts", _compete("finetune", contenders, data, rounds, threads), threads)


def tokenise(data: Path, rounds: int, threads: int) -> None:
    """A pass over Wikipedia openings, and whether its memory grows with the text."""
    contenders = {"tinylm": _Pace(1, 1), "encode_batch": _Pace(1, 1)}
    results = _compete("tokenise", contenders, data, rounds, threads, "--documents", "20000")
    _keep("tokenising 20,000 documents", "tokens", results, threads)
    results = _compete("tokenise", {"tinylm": _Pace(0, 1)}, data, 1, threads, "--documents", "100000")
    _keep("tokenising 100,000 documents", "tokens", results, threads)


def _compete(
    job: str, paces: Mapping[str, _Pace], data: Path, rounds: int, threads: int, *options: str
) -> list[Result]:
    commands = {}
    for name, pace in paces.items():
        numbers = ("--warmup", str(pace.warmup), "--steps", str(pace.steps), "--rounds", str(rounds))
        commands[name] = [str(CONTENDERS), f"{job}/{name}", "--data", str(data), *numbers, *options]
    return alternate(commands, rounds, threads)


def _keep(title: str, unit: str, results: list[Result], threads: int) -> None:
    title = f"{title}, threads: {threads}"
    show(title, unit, results)
    write(RESULTS, title, unit, results, threads)


def main() -> None:
    """Run one benchmark, or all."""
    jobs = {"pretrain": pretrain, "finetune": finetune, "tokenise": tokenise}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", nargs="?", choices=jobs, help="all when left out")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of the data sets")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each contender")
    arguments = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    for name, job in jobs.items():
        if arguments.job in (None, name):
            job(arguments.data, arguments.rounds, arguments.threads)


if __name__ == "__main__":
    main()
