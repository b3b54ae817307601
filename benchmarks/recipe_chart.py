"""Accuracy against minutes of pre-training, a panel a task, with what a user would pick instead as lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
_WIDTH = 300


@dataclass(frozen=True)
class Point:
    """What was measured.

    Attributes:
        task: what was learnt.
        name: of the curve.
        minutes: of pre-training a member.
        accuracies: per cent, one a seed.
    """

    task: str
    name: str
    minutes: float
    accuracies: tuple[float, ...]


@dataclass(frozen=True)
class Rival:
    """What needs no pre-training.

    Attributes:
        task: what was learnt.
        name: of the rival.
        accuracy: per cent, mean over the seeds.
    """

    task: str
    name: str
    accuracy: float


def draw(file: Path, points: Sequence[Point], rivals: Sequence[Rival]) -> None:
    """Draw curves through the means over seeds, with each seed as a dot, into an .svg or .png file."""
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
    panels = []
    for task in dict.fromkeys(point.task for point in points):
        own = [point for point in points if point.task == task]
        x = alt.X(
            "minutes:Q",
            title="minutes of pre-training a member",
            axis=alt.Axis(values=minutes, grid=False),
            scale=alt.Scale(type="symlog", constant=1, domain=[0, minutes[-1]], nice=False),
        )
        of_accuracy = {"title": None if panels else "accuracy, %", "scale": alt.Scale(zero=False)}
        y = alt.Y("accuracy:Q", **of_accuracy)
        seeds = [
            {"name": point.name, "minutes": point.minutes, "accuracy": accuracy}
            for point in own
            for accuracy in point.accuracies
        ]
        curves = alt.Chart(alt.InlineData(values=seeds)).encode(x=x, color=colour)
        levels = alt.Chart(
            alt.InlineData(values=[{"name": r.name, "accuracy": r.accuracy} for r in rivals if r.task == task])
        ).encode(y=y)
        panels.append(
            alt.layer(
                levels.mark_rule(strokeDash=[4, 3], color="#888"),
                levels.mark_text(align="right", dy=-5, color="#555", fontSize=10).encode(
                    text="name:N", x=alt.value(_WIDTH)
                ),
                curves.mark_line(strokeWidth=2).encode(y=alt.Y("mean(accuracy):Q", **of_accuracy)),
                curves.mark_point(size=14, filled=True, opacity=0.7).encode(y=y),
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
