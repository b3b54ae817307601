"""The page at the end of a study: results with their intervals, curves, settings, and what to type next.

One HTML file that opens offline and asks the network for nothing. Its looks are in `report.html`; here the
values are escaped and put in. Charts are vega-lite, made by altair, with the library written into the page
(about 1 MB).
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Literal

from tinylm.core.errors import InputError, MissingExtraError
from tinylm.core.files import write_text

# Mid-tones: each has a contrast of 3 or more against the light and against the dark page.
_COLOURS = ("#3b7dd8", "#cf6a1e", "#2e9469", "#b95aa8", "#7f6ad6", "#d04a52", "#2089a0", "#86862a")


@dataclass(frozen=True)
class ResultRow:
    """One line of the results table.

    Attributes:
        name: what was measured.
        accuracy: 0 to 1.
        low: lower end of its 95 % interval, 0 to 1.
        high: upper end.
        seconds: time spent to get there, None where it is not known.
    """

    name: str
    accuracy: float
    low: float
    high: float
    seconds: float | None = None


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes:
        name: whose it is; curves of one name share a colour.
        split: the texts it was measured on. Training is drawn thin, validation thick with points.
        points: (x, y) in order of x; the line breaks where y is not finite.
    """

    name: str
    split: Literal["train", "validation"]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Reference:
    """A level to compare curves with, drawn as a dashed line: the unigram entropy, a rival's accuracy."""

    name: str
    y: float


@dataclass(frozen=True)
class Chart:
    """Curves over one pair of axes.

    Attributes:
        title: heading of the chart.
        x: name and unit of the horizontal axis: `"tokens"`, `"seconds"`, `"epoch"`.
        y: name and unit of the vertical axis: `"loss (nats)"`, `"accuracy"`.
        curves: at least one.
        reference: a level to compare them with.
    """

    title: str
    x: str
    y: str
    curves: Sequence[Curve]
    reference: Reference | None = None


@dataclass(frozen=True)
class NextStep:
    """Something to type next: what it does, in a sentence, and the command."""

    what: str
    command: str


def write_report(
    path: Path,
    *,
    title: str,
    summary: str,
    table: Sequence[ResultRow],
    charts: Sequence[Chart] = (),
    notes: Sequence[str] = (),
    next_steps: Sequence[NextStep] = (),
    machine: str,
    settings: Mapping[str, object],
) -> None:
    """Write the page, whole or not at all.

    All text is plain: nothing in it is read as HTML.

    Args:
        path: the file to write.
        title: heading of the page.
        summary: one paragraph that answers the study's question.
        table: results, in the order they are shown; the highest accuracy is emphasised.
        charts: curves to draw.
        notes: a paragraph each: caveats, how to read the numbers.
        next_steps: commands for the reader to copy.
        machine: processor, threads, memory, software, in a line.
        settings: what the study was run with.

    Raises:
        InputError: the table or a chart is empty.
        MissingExtraError: there are charts and altair or vl-convert is not installed.
    """
    if not table:
        raise InputError("The report has no results; give its table at least one row.")
    template = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    page = Template(template).substitute(
        title=escape(title),
        summary=escape(summary),
        table=_table(table),
        charts="".join(_figure(chart) for chart in charts),
        notes=_section("Notes", (f"<p>{escape(note)}</p>" for note in notes)),
        next_steps=_section("What to type next", map(_next_step, next_steps)),
        machine=escape(machine),
        settings=_settings(settings),
        plotting=_plotting(charts),
    )
    write_text(path, page)


def _section(heading: str, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return f"<h2>{heading}</h2>\n{body}" if body else ""


def _table(rows: Sequence[ResultRow]) -> str:
    best = max(row.accuracy for row in rows)
    # Whole steps of 5 points around all intervals: wide enough to see them, the same ruler for every row.
    left = max(0.0, math.floor(min(row.low for row in rows) * 20) / 20)
    right = min(1.0, math.ceil(max(row.high for row in rows) * 20) / 20)

    def percent_of_width(accuracy: float) -> str:
        return f"{100 * (accuracy - left) / (right - left or 1):.2f}%"

    def line(row: ResultRow) -> str:
        emphasis, badge = "", ""
        if row.accuracy == best:
            emphasis, badge = ' class="best"', ' <span class="badge">best</span>'
        return (
            f"<tr{emphasis}>"
            f'<th scope="row">{escape(row.name)}{badge}</th>'
            f"<td><strong>{_percent(row.accuracy)}</strong> "
            f"<small>{_percent(row.low)} to {_percent(row.high)}</small></td>"
            '<td class="interval" aria-hidden="true"><svg>'
            f'<line x1="{percent_of_width(row.low)}" x2="{percent_of_width(row.high)}" y1="8" y2="8" '
            'stroke="currentColor" stroke-width="8" stroke-opacity="0.4"/>'
            f'<circle cx="{percent_of_width(row.accuracy)}" cy="8" r="3.5" fill="currentColor"/></svg></td>'
            f'<td class="time">{_duration(row.seconds)}</td></tr>'
        )

    return (
        '<h2 id="results">Results</h2>\n<div class="card"><table class="results" aria-labelledby="results">'
        '<thead><tr><th scope="col">Model</th><th scope="col">Accuracy <small>95 % interval</small></th>'
        f'<td class="interval muted" aria-hidden="true"><small class="scale"><span>{left:.0%}</span>'
        f'<span>{right:.0%}</span></small></td><th scope="col" class="time">Time</th></tr></thead>\n<tbody>'
        + "\n".join(map(line, rows))
        + "</tbody></table></div>"
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _next_step(step: NextStep) -> str:
    command = f"<pre><code>{escape(step.command)}</code></pre>"
    return f'<p>{escape(step.what)}</p><div class="step">{command}</div>'


def _settings(settings: Mapping[str, object]) -> str:
    lines = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>' for name, value in settings.items()
    )
    return (
        '<details class="card"><summary>Settings</summary>'
        f'<table class="settings"><tbody>{lines}</tbody></table></details>'
    )


def _figure(chart: Chart) -> str:
    if not any(curve.points for curve in chart.curves):
        raise InputError(f"The chart {chart.title!r} has no points; leave it out or give it a curve.")
    items = [
        f"<li>{_swatch(colour)}{escape(name)}: {escape(_last_values(chart, name))}</li>"
        for name, colour in _colours(chart).items()
    ]
    if chart.reference:
        swatch = _swatch("currentColor", dashes="4 3")
        items.append(f"<li>{swatch}{escape(chart.reference.name)}: {chart.reference.y:#.3g}</li>")
    splits = {curve.split for curve in chart.curves}
    how_drawn = " Thin: training. Thick: validation." if len(splits) > 1 else ""
    return (
        f"<h2>{escape(chart.title)}</h2>\n"
        f'<figure class="card"><div class="plot" role="img" aria-label="{escape(chart.title)}"></div>\n'
        f'<ul class="legend">{"".join(items)}</ul>'
        f"<figcaption><small>Numbers are the last of each curve.{how_drawn}</small></figcaption></figure>\n"
    )


def _colours(chart: Chart) -> dict[str, str]:
    names = dict.fromkeys(curve.name for curve in chart.curves)
    return {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}


def _swatch(colour: str, dashes: str = "none") -> str:
    return (
        '<svg aria-hidden="true"><line x1="1" x2="21" y1="5" y2="5" stroke-width="2.5" '
        f'stroke="{colour}" stroke-dasharray="{dashes}"/></svg>'
    )


def _last_values(chart: Chart, name: str) -> str:
    curves = [curve for curve in chart.curves if curve.name == name and curve.points]
    return ", ".join(f"{curve.split} {curve.points[-1][1]:#.3g}" for curve in curves)


def _plotting(charts: Sequence[Chart]) -> str:
    if not charts:
        return ""
    try:
        import altair  # noqa: PLC0415
        import vl_convert  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("study", "A report with charts") from error

    # "<" never stands in the JSON, so no value can close the script element it is in.
    specs = json.dumps([_spec(chart) for chart in charts], allow_nan=False).replace("<", "\\u003c")
    library = vl_convert.javascript_bundle(
        snippet="window.vegaEmbed = vegaEmbed;",
        vl_version=".".join(altair.SCHEMA_VERSION.split(".")[:2]),
    )
    return (
        f"<script>{library}</script>\n<script>\n"
        f"const specs = {specs};\n"
        'document.querySelectorAll(".plot").forEach((plot, i) => vegaEmbed(plot, specs[i], '
        '{actions: false, renderer: "svg", ast: true}));\n</script>'
    )


def _spec(chart: Chart) -> dict[str, Any]:
    import altair as alt  # noqa: PLC0415

    colours = _colours(chart)
    furthest = max(x for curve in chart.curves for x, _ in curve.points)
    x = alt.X(
        "x:Q",
        title=chart.x,
        axis=alt.Axis(tickCount=6, grid=False, format="~s" if furthest >= 10_000 else ",~r"),
        scale=alt.Scale(nice=False),
    )
    y = alt.Y("y:Q", title=chart.y, axis=alt.Axis(tickCount=5), scale=alt.Scale(zero=False))
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    colour = alt.Color("name:N", scale=scale, legend=None)
    tooltip = [
        alt.Tooltip("name:N", title="curve"),
        alt.Tooltip("x:Q", title=chart.x, format=",~r"),
        alt.Tooltip("y:Q", title=chart.y, format=".4~r"),
    ]

    thin = {"strokeWidth": 1, "opacity": 0.6}
    thick = {"strokeWidth": 2, "point": alt.OverlayMarkDef(size=30)}
    layers = [
        alt.Chart(alt.InlineData(values=_values(curve)))
        .mark_line(**(thin if curve.split == "train" else thick))
        .encode(x=x, y=y, color=colour, tooltip=tooltip)
        for curve in chart.curves
        if curve.points
    ]
    if chart.reference:
        level = alt.Chart(alt.InlineData(values=[{"y": chart.reference.y}]))
        layers.append(level.mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color="currentColor").encode(y=y))
    # currentColor follows the page's light or dark text; the container gives the width.
    drawn = alt.layer(*layers).properties(width="container", height="container", background="transparent")
    spec: dict[str, Any] = (
        drawn.configure(aria=False, font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor="currentColor",
            titleColor="currentColor",
            domainColor="currentColor",
            tickColor="currentColor",
            gridColor="currentColor",
            gridOpacity=0.12,
            domainOpacity=0.4,
            tickOpacity=0.4,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
        )
        .to_dict()
    )
    return spec


def _values(curve: Curve) -> list[dict[str, Any]]:
    return [{"name": curve.name, "x": x, "y": y if math.isfinite(y) else None} for x, y in curve.points]
