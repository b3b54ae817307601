"""The job `answer` of the latency benchmark: one text a call."""

import math
from collections.abc import Sequence
from statistics import fmean, median, quantiles
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
    size_mb,
    spec_of,
)
from benchmarks.runner import Subject, rotated, save_results

_CALLS, _LEAST_CALLS = 200, 300
"""Texts a round at most, and over all rounds at least."""

_WARMUP = 8
_SECONDS = 5.0
"""What a subject may take: all rounds of one data set together."""


def answer(setup: Setup) -> None:
    """One text a call."""
    specs = enter(setup, (*TINYLM, *ONNX_RUNTIME, *TRANSFORMERS, *TRAINED, TOKENIZER, *setup.named()))
    found: dict[str, list[dict[str, Any]]] = {}
    with setup.running(specs) as subjects:
        for task in TASKS:
            texts = setup.task(task)["measured"]
            seconds = _answer([c for c in subjects if spec_of(specs, c).task in (None, task)], texts, setup.rounds)
            found[task] = [_row(name, own, seconds.get(REFERENCE.name)) for name, own in seconds.items()]
        by_name = {subject.name: subject for subject in subjects}
        peaks = {subject.name: subject.request("nothing").peak_mb for subject in subjects}
        for task, title in TASKS.items():
            test = setup.task(task)["test"]
            for row in found[task]:
                spec = spec_of(specs, by_name[row["name"]])
                row["peak_mb"] = peaks[spec.name]
                row["disk_mb"] = size_mb(setup.files(spec))
                row["accuracy"] = _accuracy(by_name[spec.name], test) if spec.trained else None
            _show_answers(f"{title}, one text a call", found[task])
    save_results(RESULTS, "answer", found, PACKAGES)


def _answer(subjects: Sequence[Subject], texts: Sequence[str], rounds: int) -> dict[str, list[list[float]]]:
    """Seconds of each call, by subject and round; a slow subject gets the first texts of each round."""
    *slices, warmup = _slices(texts)
    calls = {subject.name: _affordable_calls(subject, slices[0], warmup, rounds) for subject in subjects}
    seconds: dict[str, list[list[float]]] = {subject.name: [] for subject in subjects}
    for number in range(rounds):
        own = slices[number % len(slices)]
        for subject in rotated(subjects, number):
            each = subject.request("each", texts=own[: calls[subject.name]], warmup=warmup[:_WARMUP]).value
            seconds[subject.name].append(each)
    return seconds


def _slices(texts: Sequence[str]) -> list[Sequence[str]]:
    """The texts of each round, then those of the warm-up."""
    slices = [texts[start : start + _CALLS] for start in range(0, len(texts), _CALLS)]
    return [*slices, slices[-1]]


def _affordable_calls(subject: Subject, texts: Sequence[str], warmup: Sequence[str], rounds: int) -> int:
    second = median(subject.request("each", texts=texts[:_WARMUP], warmup=warmup[:_WARMUP]).value)
    least = min(_CALLS, math.ceil(_LEAST_CALLS / rounds))
    return max(least, min(_CALLS, int(_SECONDS / rounds / second)))


def _accuracy(subject: Subject, test: Sequence[tuple[str, str]]) -> float | None:
    """None for a model of another task, which has other labels."""
    labels = subject.request("labels", texts=[text for text, _ in test]).value
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
            f"| {min(medians):.3g} to {max(medians):.3g} | {ratio_text(row['ratios'])} | {row['peak_mb']:,.0f} "
            f"| {row['disk_mb']:,.1f} | {accuracy} | {row['calls']:,} |"
        )
    print(flush=True)
