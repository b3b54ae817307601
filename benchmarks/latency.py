"""How fast an answer is, text to label, beside what else one could use, in one run.

    python benchmarks/latency.py [answer|batch|growth|cold] --data ../shared/data [--only NAME...]

All four without a name. Each contender is a process of its own (`answering.py`) on one thread of one core, they take
turns on the same texts (`turns.py`), and the numbers are kept in `runs/benchmarks/latency.json`. Weights are random but
for the rivals that are trained on the task and for `--model` (`preparing.py`). A rival whose library is missing is left
out, with a line that says what to install.
"""

import argparse
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

from cold import cold
from entrants import (
    ONNX_RUNTIME,
    PACKAGES,
    REFERENCE,
    TASKS,
    TINYLM,
    TOKENIZER,
    TRAINED,
    TRANSFORMERS,
    Entrant,
    Setup,
    in_turn,
    keep,
    size_mb,
)
from growth import growth
from rounds import machine
from turns import Contender

_CALLS, _LEAST_CALLS = 200, 300
"""Texts a round at most, and over all rounds at least."""

_WARMUP = 8
_SECONDS_ANSWERING, _SECONDS_A_BATCH = 5.0, 1.5
"""What a contender may take: all rounds of one data set together, and one call with many texts."""

_BATCH_ROUNDS, _LEAST_TEXTS, _TRIED_TEXTS = 2, 96, 32
"""Rounds with many texts; how many a slow contender gets all the same, and how many show how slow it is."""


def answer(setup: Setup) -> None:
    """One text a call."""
    entrants = _enter(setup, (*TINYLM, *ONNX_RUNTIME, *TRANSFORMERS, *TRAINED, TOKENIZER, *setup.named()))
    found: dict[str, list[dict[str, Any]]] = {}
    with setup.start(entrants) as field:
        for task in TASKS:
            texts = setup.task(task)["measured"]
            seconds = _answer([c for c in field if _entrant(entrants, c).task in (None, task)], texts, setup.rounds)
            found[task] = [_row(name, own, seconds.get(REFERENCE.name)) for name, own in seconds.items()]
        by_name = {contender.name: contender for contender in field}
        peaks = {contender.name: contender.ask("peak") for contender in field}
        for task, title in TASKS.items():
            test = setup.task(task)["test"]
            for row in found[task]:
                entrant = _entrant(entrants, by_name[row["name"]])
                row["peak_mb"] = peaks[entrant.name]
                row["disk_mb"] = size_mb(setup.files(entrant))
                row["accuracy"] = _accuracy(by_name[entrant.name], test) if entrant.trained else None
            _show_answers(f"{title}, one text a call", found[task])
    keep("answer", found)


def _enter(setup: Setup, entrants: Sequence[Entrant]) -> list[Entrant]:
    return setup.prepare(setup.choose(entrants), *(f"texts/{task}" for task in TASKS))


def _answer(field: Sequence[Contender], texts: Sequence[str], rounds: int) -> dict[str, list[list[float]]]:
    """Seconds of each call, by contender and round; a slow contender gets the first texts of each round."""
    *slices, warmup = _slices(texts)
    calls = {contender.name: _affordable_calls(contender, slices[0], warmup, rounds) for contender in field}
    seconds: dict[str, list[list[float]]] = {contender.name: [] for contender in field}
    for number in range(rounds):
        own = slices[number % len(slices)]
        for contender in in_turn(field, number):
            each = contender.ask("each", texts=own[: calls[contender.name]], warmup=warmup[:_WARMUP])
            seconds[contender.name].append(each)
    return seconds


def _slices(texts: Sequence[str]) -> list[Sequence[str]]:
    """The texts of each round, then those of the warm-up."""
    slices = [texts[start : start + _CALLS] for start in range(0, len(texts), _CALLS)]
    return [*slices, slices[-1]]


def _entrant(entrants: Sequence[Entrant], contender: Contender) -> Entrant:
    return next(entrant for entrant in entrants if entrant.name == contender.name)


def _affordable_calls(contender: Contender, texts: Sequence[str], warmup: Sequence[str], rounds: int) -> int:
    second = median(contender.ask("each", texts=texts[:_WARMUP], warmup=warmup[:_WARMUP]))
    least = min(_CALLS, math.ceil(_LEAST_CALLS / rounds))
    return max(least, min(_CALLS, int(_SECONDS_ANSWERING / rounds / second)))


def _accuracy(contender: Contender, test: Sequence[tuple[str, str]]) -> float | None:
    """None for a model of another task, which has other labels."""
    labels = contender.ask("labels", texts=[text for text, _ in test])
    known = {label for _, label in test}
    if not known.issuperset(labels):
        return None
    return fmean(given == label for given, (_, label) in zip(labels, test, strict=True))


def _row(name: str, seconds: Sequence[Sequence[float]], reference: Sequence[Sequence[float]] | None) -> dict[str, Any]:
    """Milliseconds of all calls, and the ratio to the reference: round by round, on the texts that both answered."""
    every = [1000 * call for calls in seconds for call in calls]
    medians = [1000 * median(calls) for calls in seconds]
    both = [] if reference is None else zip(seconds, reference, strict=True)
    ratios = [median(ours) / median(theirs[: len(ours)]) for ours, theirs in both]
    return {
        "name": name,
        "calls": len(every),
        "p50_ms": median(every),
        "p99_ms": quantiles(every, n=100, method="inclusive")[98],
        "mean_ms": fmean(every),
        "round_medians_ms": medians,
        "ratios": ratios,
    }


def _show_answers(title: str, rows: Sequence[dict[str, Any]]) -> None:
    print(f"\n**{title}**\n")
    print(
        "| | p50 ms | p99 ms | mean ms | round medians ms | times the first (rounds) | peak memory MB | on disk MB "
        "| accuracy % | calls |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for row in rows:
        medians = row["round_medians_ms"]
        accuracy = "" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f}"
        print(
            f"| {row['name']} | {row['p50_ms']:.3g} | {row['p99_ms']:.3g} | {row['mean_ms']:.3g} "
            f"| {min(medians):.3g} to {max(medians):.3g} | {_ratio(row['ratios'])} | {row['peak_mb']:,.0f} "
            f"| {row['disk_mb']:,.1f} | {accuracy} | {row['calls']:,} |"
        )
    print(flush=True)


def _ratio(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g})" if ratios else ""


def batch(setup: Setup) -> None:
    """Many texts at once, on one core, and on all for those who know how."""
    found = {}
    for threads in dict.fromkeys((1, os.cpu_count() or 1)):
        others = (*ONNX_RUNTIME, *TRAINED, TOKENIZER) if threads == 1 else ()
        entrants = _enter(setup, (*TINYLM, *others, *TRANSFORMERS, *setup.named()))
        with setup.start(entrants, threads) as field:
            for task, title in TASKS.items():
                own = [c for c in field if _entrant(entrants, c).task in (None, task)]
                rows = _batch(own, setup.task(task)["measured"], min(_BATCH_ROUNDS, setup.rounds))
                _show_batches(f"{title}, many texts at once, threads: {threads}", rows)
                found[f"{task}, threads: {threads}"] = rows
    keep("batch", found)


def _batch(field: Sequence[Contender], texts: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    rates: dict[str, list[float]] = {contender.name: [] for contender in field}
    counts: dict[str, int] = {}
    for contender in field:
        rate = _TRIED_TEXTS / contender.ask("all", texts=texts[:_TRIED_TEXTS], warmup=texts[:1])
        counts[contender.name] = min(len(texts), max(_LEAST_TEXTS, int(_SECONDS_A_BATCH * rate)))
    for number in range(rounds):
        for contender in in_turn(field, number):
            count = counts[contender.name]
            rates[contender.name].append(count / contender.ask("all", texts=texts[:count], warmup=texts[:_WARMUP]))
    reference = rates.get(REFERENCE.name)
    return [
        {
            "name": contender.name,
            "texts": counts[contender.name],
            "rate": median(rates[contender.name]),
            "rates": rates[contender.name],
            "ratios": _faster(reference, rates[contender.name]),
            "peak_mb": contender.ask("peak"),
        }
        for contender in field
    ]


def _faster(reference: Sequence[float] | None, rates: Sequence[float]) -> list[float]:
    return [] if reference is None else [ours / theirs for ours, theirs in zip(reference, rates, strict=True)]


def _show_batches(title: str, rows: Sequence[dict[str, Any]]) -> None:
    print(f"\n**{title}**\n")
    print("| | texts/s | min to max | the first is faster by (rounds) | peak memory MB | texts |")
    print("|---|--:|--:|--:|--:|--:|")
    for row in rows:
        spread = f"{min(row['rates']):,.0f} to {max(row['rates']):,.0f}"
        print(
            f"| {row['name']} | {row['rate']:,.0f} | {spread} | {_ratio(row['ratios'])} | {row['peak_mb']:,.0f} "
            f"| {row['texts']:,} |"
        )
    print(flush=True)


def main() -> None:
    """Run one job, or all."""
    jobs: dict[str, Callable[[Setup], None]] = {"answer": answer, "batch": batch, "growth": growth, "cold": cold}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", nargs="?", choices=jobs, help="all when left out")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of the data sets")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each contender")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="contenders with this in their name")
    parser.add_argument("--model", nargs="+", type=Path, default=(), help="trained models, to enter beside the others")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks/prepared"), help="what contenders load")
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
