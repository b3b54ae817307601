"""The job `batch` of the latency benchmark: many texts in one call."""

import os
from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.latency.specs import (
    ONNX_RUNTIME,
    PACKAGES,
    REFERENCE,
    RESULTS,
    TASKS,
    TINYLM,
    TOKENIZER,
    TRAINED,
    TRANSFORMERS,
    Setup,
    enter,
    ratio_text,
    spec_of,
)
from benchmarks.runner import Subject, rotated, save_results

_WARMUP = 8
_SECONDS = 1.5
"""What a subject may take for one call."""

_ROUNDS, _LEAST_TEXTS, _TRIED_TEXTS = 2, 96, 32
"""Rounds; how many texts a slow subject gets all the same, and how many show how slow it is."""


def batch(setup: Setup) -> None:
    """Many texts at once, on one core, and on all for those who know how."""
    found = {}
    for threads in dict.fromkeys((1, os.cpu_count() or 1)):
        others = (*ONNX_RUNTIME, *TRAINED, TOKENIZER) if threads == 1 else ()
        specs = enter(setup, (*TINYLM, *others, *TRANSFORMERS, *setup.named()))
        with setup.running(specs, threads) as subjects:
            for task, title in TASKS.items():
                own = [c for c in subjects if spec_of(specs, c).task in (None, task)]
                rows = _batch(own, setup.task(task)["measured"], min(_ROUNDS, setup.rounds))
                _show_batches(f"{title}, many texts at once, threads: {threads}", rows)
                found[f"{task}, threads: {threads}"] = rows
    save_results(RESULTS, "batch", found, PACKAGES)


def _batch(subjects: Sequence[Subject], texts: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    rates: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    counts: dict[str, int] = {}
    for subject in subjects:
        rate = _TRIED_TEXTS / subject.request("all", texts=texts[:_TRIED_TEXTS], warmup=texts[:1]).value
        counts[subject.name] = min(len(texts), max(_LEAST_TEXTS, int(_SECONDS * rate)))
    for number in range(rounds):
        for subject in rotated(subjects, number):
            count = counts[subject.name]
            rates[subject.name].append(
                count / subject.request("all", texts=texts[:count], warmup=texts[:_WARMUP]).value
            )
    reference = rates.get(REFERENCE.name)
    return [
        {
            "name": subject.name,
            "texts": counts[subject.name],
            "rate": median(rates[subject.name]),
            "rates": rates[subject.name],
            "ratios": _faster(reference, rates[subject.name]),
            "peak_mb": subject.request("nothing").peak_mb,
        }
        for subject in subjects
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
            f"| {row['name']} | {row['rate']:,.0f} | {spread} | {ratio_text(row['ratios'])} | {row['peak_mb']:,.0f} "
            f"| {row['texts']:,} |"
        )
    print(flush=True)
