"""Training speed and memory beside the loops one would write with `transformers`, in one run.

    python -m benchmarks.training [pretrain|finetune|tokenise] --data ../shared/data

All three without a name. Each subject is a process of its own (`subjects.py`), they alternate round by round
(`benchmarks/runner.py`), and the numbers are kept in `runs/benchmarks/training.json`. BERT-6 in float32 takes most of
the time: about 20 seconds an update on two cores.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.runner import machine, rotated, running, save_results

RESULTS = Path("runs/benchmarks/training.json")
PACKAGES = ("torch", "transformers", "tokenizers")
"""Whose versions are stored with the results."""


@dataclass(frozen=True)
class _Pace:
    """Updates before the first round, and updates a round."""

    warmup: int
    steps: int


@dataclass
class _Rates:
    """What was measured of one subject."""

    name: str
    rates: list[float] = field(default_factory=list)
    """Amount a second, of each round."""
    processor_rates: list[float] = field(default_factory=list)
    """Amount a second of processor time, over all threads, of each round."""
    loads: list[float] = field(default_factory=list)
    """The machine's load when each round began: what else was running."""
    peak_mb: float = 0.0
    """Largest memory of its process, 10^6 bytes."""


def pretrain(data: Path, rounds: int, threads: int) -> None:
    """Pre-training of BERT-1 and BERT-6, tokens a second."""
    paces = {
        "bert-1": {"tinylm": _Pace(3, 10), "float32": _Pace(1, 2), "bfloat16": _Pace(1, 3)},
        "bert-6": {"tinylm": _Pace(1, 3), "float32": _Pace(1, 2), "bfloat16": _Pace(1, 2)},
    }
    for shape, subjects in paces.items():
        results = _measure("pretrain", subjects, data, rounds, threads, "--shape", shape)
        _keep(f"pre-training {shape}", "tokens", results, threads)


def finetune(data: Path, rounds: int, threads: int) -> None:
    """Fine-tuning of BERT-1 on FewRel, texts a second."""
    subjects = {"tinylm": _Pace(10, 60), "float32": _Pace(1, 3), "bfloat16": _Pace(1, 5)}
    _keep("fine-tuning bert-1 on FewRel", "texts", _measure("finetune", subjects, data, rounds, threads), threads)


def tokenise(data: Path, rounds: int, threads: int) -> None:
    """A pass over Wikipedia openings, and whether its memory grows with the text."""
    subjects = {"tinylm": _Pace(1, 1), "encode_batch": _Pace(1, 1)}
    results = _measure("tokenise", subjects, data, rounds, threads, "--documents", "20000")
    _keep("tokenising 20,000 documents", "tokens", results, threads)
    results = _measure("tokenise", {"tinylm": _Pace(0, 1)}, data, 1, threads, "--documents", "100000")
    _keep("tokenising 100,000 documents", "tokens", results, threads)


def _measure(
    job: str, paces: Mapping[str, _Pace], data: Path, rounds: int, threads: int, *options: str
) -> list[_Rates]:
    commands = {}
    for name, pace in paces.items():
        numbers = ("--warmup", str(pace.warmup), "--steps", str(pace.steps), "--rounds", str(rounds))
        module = ("-m", "benchmarks.training.subjects")
        commands[name] = [*module, f"{job}/{name}", "--data", str(data), *numbers, *options]
    with running(commands, threads) as subjects:
        if not subjects:
            raise SystemExit("no subject could be started; see above")
        results = {subject.name: _Rates(subject.name) for subject in subjects}
        for number in range(rounds):
            for subject in rotated(subjects, number):
                own = results[subject.name]
                own.loads.append(os.getloadavg()[0])
                report = subject.request("round")
                own.rates.append(report.value / report.seconds)
                own.processor_rates.append(report.value / report.processor_seconds)
                own.peak_mb = report.peak_mb
    return list(results.values())


def _keep(title: str, unit: str, results: Sequence[_Rates], threads: int) -> None:
    title = f"{title}, threads: {threads}"
    _show(title, unit, results)
    stored = [{**asdict(result), "median": median(result.rates)} for result in results]
    save_results(RESULTS, title, stored, PACKAGES, unit=f"{unit}/s", threads=threads)


def _show(title: str, unit: str, results: Sequence[_Rates]) -> None:
    """Print a table in Markdown; the ratio is the first subject's rate over each one's, median over rounds.

    A ratio compares rounds that stand side by side, so that what else the machine does slows both.
    """
    print(f"\n**{title}**\n", flush=True)
    print(f"| | {unit}/s, median | min to max | {results[0].name} is faster by | by processor time | peak memory |")
    print("|---|--:|--:|--:|--:|--:|")
    for result in results:
        spread = f"{min(result.rates):,.0f} to {max(result.rates):,.0f}"
        ratio = _ratio(results[0].rates, result.rates)
        processor_ratio = _ratio(results[0].processor_rates, result.processor_rates)
        memory = f"{result.peak_mb:,.0f} MB"
        print(
            f"| {result.name} | {median(result.rates):,.0f} | {spread} | {ratio} | {processor_ratio} | {memory} |",
            flush=True,
        )


def _ratio(first: Sequence[float], other: Sequence[float]) -> str:
    ratios = [own / theirs for own, theirs in zip(first, other, strict=True)]
    return f"{median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Run one benchmark, or all."""
    jobs = {"pretrain": pretrain, "finetune": finetune, "tokenise": tokenise}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", nargs="?", choices=jobs, help="all when left out")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of the data sets")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each subject")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each subject")
    arguments = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine(PACKAGES).items()))
    for name, job in jobs.items():
        if arguments.job in (None, name):
            job(arguments.data, arguments.rounds, arguments.threads)


if __name__ == "__main__":
    main()
