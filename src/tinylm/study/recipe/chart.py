"""Accuracy against minutes of pre-training, a panel a task, with what a user would pick instead as lines."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
_WIDTH = 300
_LABEL_SHARE = 0.04
"""Of a panel's height: labels of lines that are nearer to each other would overlap."""


@dataclass(frozen=True)
class Point:
    """What was measured of one kind of run after so many minutes."""

    task: str
    """What was learnt."""
    name: str
    """Of the curve."""
    minutes: float
    """Of pre-training a member."""
    accuracies: Mapping[int, float]
    """Per cent, by seed."""


@dataclass(frozen=True)
class Level:
    """What needs no pre-training: a baseline, drawn as a line."""

    task: str
    name: str
    accuracies: Mapping[int, float]
    """Per cent, by seed."""


def draw(file: Path, points: Sequence[Point], baselines: Sequence[Level]) -> None:
    """Draw into an .svg or .png file, with each seed as a dot.

    Samples of a task differ in how hard they are, so lines are means over the same seeds from end to end: those of
    which every point of the task is measured, or all that a line has where it has none of them.
    """
    import altair as alt  # noqa: PLC0415
    import vl_convert  # noqa: PLC0415

    names = list(dict.fromkeys(point.name for point in points))
    minutes = sorted({point.minutes for point in points})
    colour = alt.Color(
        "name:N",
        title=None,
        scale=alt.Scale(domain=names, range=_COLOURS[: len(names)]),
        legend=alt.Legend(orient="bottom", symbolType="stroke", symbolStrokeWidth=3),
    )
    panels: list[Any] = []
    for task in dict.fromkeys(point.task for point in points):
        own = [point for point in points if point.task == task]
        x = alt.X(
            "minutes:Q",
            title="minutes of pre-training a member",
            axis=alt.Axis(values=minutes, grid=False),
            scale=alt.Scale(type="symlog", constant=1, domain=[0, minutes[-1]], nice=False),
        )
        y = alt.Y("accuracy:Q", title=None if panels else "accuracy, %", scale=alt.Scale(zero=False))
        shared = set.intersection(*(set(point.accuracies) for point in own))
        seeds: list[dict[str, Any]] = [
            {"name": point.name, "minutes": point.minutes, "accuracy": accuracy}
            for point in own
            for accuracy in point.accuracies.values()
        ]
        means = [
            {"name": point.name, "minutes": point.minutes, "accuracy": _mean(point.accuracies, shared)} for point in own
        ]
        heights = {baseline.name: _mean(baseline.accuracies, shared) for baseline in baselines if baseline.task == task}
        shown = [*heights.values(), *(seed["accuracy"] for seed in seeds)]
        near = _LABEL_SHARE * (max(shown) - min(shown))
        fixed = [
            {
                "name": name,
                "accuracy": accuracy,
                "below": any(0 < other - accuracy < near for other in heights.values()),
            }
            for name, accuracy in heights.items()
        ]
        dots = alt.Chart(alt.InlineData(values=seeds)).encode(x=x, y=y, color=colour)
        curves = alt.Chart(alt.InlineData(values=means)).encode(x=x, y=y, color=colour)
        levels = alt.Chart(alt.InlineData(values=fixed)).encode(y=y)
        panels.append(
            alt.layer(
                levels.mark_rule(strokeDash=[4, 3], color="#888"),
                levels.mark_text(align="right", dy=alt.expr("datum.below ? 8 : -5"), color="#555", fontSize=10).encode(
                    text="name:N", x=alt.value(_WIDTH)
                ),
                curves.mark_line(strokeWidth=2),
                dots.mark_point(size=14, filled=True, opacity=0.7),
            ).properties(width=_WIDTH, height=320, title=task)
        )
    specification = (
        alt.hconcat(*panels, spacing=24, background="white", padding=12)
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=13, titleFontWeight="normal", gridOpacity=0.4)
        .configure_legend(labelFontSize=12)
        .to_dict()
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".svg":
        file.write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")
    else:
        file.write_bytes(vl_convert.vegalite_to_png(specification, scale=2))


def _mean(accuracies: Mapping[int, float], seeds: set[int]) -> float:
    return statistics.mean(accuracies[seed] for seed in seeds.intersection(accuracies) or accuracies)
