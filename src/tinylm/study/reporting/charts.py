"""Charts of a page, in vega-lite made by altair, whose library is in the page (about 1 MB); and as svg files.

Here are curves with bands, and what all kinds of chart have in common; `figures.py` has further kinds.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any, Literal, Protocol

from tinylm.core.errors import InputError
from tinylm.core.extras import needed

# Mid-tones: each has a contrast of 3 or more against the light and against the dark page.
COLOURS = ("#3b7dd8", "#cf6a1e", "#2e9469", "#b95aa8", "#7f6ad6", "#d04a52", "#2089a0", "#86862a")

_SVG_WIDTH = 640
_SVG_TEXT = "#333333"
# Fonts of a browser may be wider than those that the labels are measured with.
_SVG_PADDING = {"left": 28, "right": 16, "top": 12, "bottom": 12}


@dataclass(frozen=True)
class LegendItem:
    """A line of a legend."""

    colour: str
    text: str
    dashes: str = "none"
    """As `stroke-dasharray`."""


class Figure(Protocol):
    """A chart that a page can show."""

    @property
    def title(self) -> str:
        """Its heading."""

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def caption(self) -> str:
        """How to read it."""

    def legend(self) -> Sequence[LegendItem]:
        """Whose colours these are."""

    def layers(self) -> Any:
        """The chart as altair's, without size and style.

        Raises:
            InputError: there is nothing to draw.
        """


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    name: str
    """Whose it is; curves of one name share a colour."""
    split: Literal["train", "validation", "test"]
    """The texts it was measured on. Training is drawn thin, the others thick with points."""
    points: Sequence[tuple[float, float]]
    """(x, y) in order of x; the line breaks where y is not finite."""
    band: Sequence[tuple[float, float, float]] = ()
    """(x, low, high) in order of x: an interval around the line, over seeds for example."""


@dataclass(frozen=True)
class Reference:
    """A level to compare curves with, drawn as a dashed line: the unigram entropy, a baseline's accuracy."""

    name: str
    y: float


@dataclass(frozen=True)
class Chart:
    """Curves over one pair of axes."""

    title: str
    """Heading of the chart."""
    x: str
    """Name and unit of the horizontal axis: `"tokens"`, `"seconds"`, `"epoch"`."""
    y: str
    """Name and unit of the vertical axis: `"loss (nats)"`, `"accuracy"`."""
    curves: Sequence[Curve]
    """At least one."""
    reference: Reference | None = None
    """A level to compare them with."""
    height: int = 300
    """Pixels."""
    x_scale: Literal["linear", "log", "symlog"] = "linear"
    """symlog has room for zero, and is linear up to 1,000."""

    @property
    def caption(self) -> str:
        """See `Figure`."""
        splits = {curve.split for curve in self.curves}
        return "Numbers are the last of each curve." + (" Thin: training. Thick: validation." * (len(splits) > 1))

    def legend(self) -> list[LegendItem]:
        """See `Figure`; raises where the chart has no points."""
        if not any(curve.points for curve in self.curves):
            raise InputError(f"The chart {self.title!r} has no points; leave it out or give it a curve.")
        items = [
            LegendItem(colour, f"{name}: {_last_values(self, name)}")
            for name, colour in colours_of(curve.name for curve in self.curves).items()
        ]
        if self.reference:
            items.append(LegendItem("currentColor", f"{self.reference.name}: {self.reference.y:#.3g}", "4 3"))
        return items

    def layers(self) -> Any:
        """See `Figure`."""
        return _layers(self)


def figure(chart: Figure, level: int = 2) -> str:
    """The chart's place on the page, with its legend and last values, under a heading of that level.

    Raises:
        InputError: it has no points.
    """
    items = "".join(f"<li>{_swatch(item.colour, item.dashes)}{escape(item.text)}</li>" for item in chart.legend())
    return (
        f"<h{level}>{escape(chart.title)}</h{level}>\n"
        f'<figure class="card"><div class="plot" role="img" aria-label="{escape(chart.title)}" '
        f'style="height: {chart.height}px"></div>\n'
        f'<ul class="legend">{items}</ul>'
        f"<figcaption><small>{escape(chart.caption)}</small></figcaption></figure>\n"
    )


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each distinct name, in their order."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(dict.fromkeys(names))}


def _swatch(colour: str, dashes: str) -> str:
    return (
        '<svg aria-hidden="true"><line x1="1" x2="21" y1="5" y2="5" stroke-width="2.5" '
        f'stroke="{colour}" stroke-dasharray="{dashes}"/></svg>'
    )


def _last_values(chart: Chart, name: str) -> str:
    curves = [curve for curve in chart.curves if curve.name == name and curve.points]
    return ", ".join(f"{curve.split} {curve.points[-1][1]:#.3g}" for curve in curves)


def plotting(charts: Sequence[Figure]) -> str:
    """The scripts that draw the charts into their places, in order; nothing where there are none.

    Raises:
        MissingExtraError: altair or vl-convert is not installed.
    """
    if not charts:
        return ""
    converter, version = _converter("A report with charts")
    # "<" never stands in the JSON, so no value can close the script element it is in.
    specs = json.dumps([_spec(chart) for chart in charts], allow_nan=False).replace("<", "\\u003c")
    return (
        f"<script>{_library(converter, version)}</script>\n<script>\n"
        f"const specs = {specs};\n"
        'document.querySelectorAll(".plot").forEach((plot, i) => vegaEmbed(plot, specs[i], '
        '{actions: false, renderer: "svg", ast: true}));\n</script>'
    )


def svg(chart: Figure) -> str:
    """The chart as a file of its own, on white.

    Raises:
        MissingExtraError: altair or vl-convert is not installed.
    """
    converter, version = _converter("A chart")
    spec = _spec(chart, width=_SVG_WIDTH, height=chart.height, background="white") | {"padding": _SVG_PADDING}
    _show_legends(spec)
    fixed = json.dumps(spec).replace("currentColor", _SVG_TEXT).replace("system-ui, sans-serif", "sans-serif")
    drawn: str = converter.vegalite_to_svg(fixed, vl_version=version)
    return drawn


@cache
def _library(converter: Any, version: str) -> str:
    """The code that draws charts; it takes seconds to put together, and is the same for all pages."""
    bundle: str = converter.javascript_bundle(snippet="window.vegaEmbed = vegaEmbed;", vl_version=version)
    return bundle


def _converter(what: str) -> tuple[Any, str]:
    """vl-convert, and the version of vega-lite that altair's charts are of."""
    altair, converter = (needed(module, what) for module in ("altair", "vl_convert"))
    return converter, ".".join(altair.SCHEMA_VERSION.split(".")[:2])


def _show_legends(part: Any) -> None:
    """Give the colours of a specification a legend, which the page has beside the chart."""
    if isinstance(part, list):
        for inner in part:
            _show_legends(inner)
    elif isinstance(part, dict):
        colour = part.get("color")
        if isinstance(colour, dict) and colour.get("legend", "") is None:
            colour["legend"] = {
                "orient": "bottom",
                "title": None,
                "columns": 3,
                # Whoever shows the file may have a wider font than the one that it was laid out with.
                "columnPadding": 50,
                "labelLimit": _SVG_WIDTH,
                "symbolType": "square",
                "symbolOpacity": 1,
            }
        for inner in part.values():
            _show_legends(inner)


def _spec(
    chart: Figure, *, width: int | str = "container", height: int | str = "container", background: str = "transparent"
) -> dict[str, Any]:
    # currentColor follows the page's light or dark text; the container gives the width.
    drawn = chart.layers().properties(width=width, height=height, background=background)
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


def _layers(chart: Chart) -> Any:
    import altair as alt  # noqa: PLC0415

    colours = colours_of(curve.name for curve in chart.curves)
    furthest = max(x for curve in chart.curves for x, _ in curve.points)
    x = alt.X(
        "x:Q",
        title=chart.x,
        axis=alt.Axis(tickCount=6, grid=False, format="~s" if furthest >= 10_000 else ",~r"),
        scale=alt.Scale(nice=False, type=chart.x_scale, constant=1000 if chart.x_scale == "symlog" else alt.Undefined),
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
        alt.Chart(alt.InlineData(values=_band(curve)))
        .mark_area(opacity=0.2)
        .encode(x=x, y=alt.Y("low:Q", title=chart.y), y2="high:Q", color=colour)
        for curve in chart.curves
        if curve.band
    ]
    layers += [
        alt.Chart(alt.InlineData(values=_values(curve)))
        .mark_line(**(thin if curve.split == "train" else thick))
        .encode(x=x, y=y, color=colour, tooltip=tooltip)
        for curve in chart.curves
        if curve.points
    ]
    if chart.reference:
        level = alt.Chart(alt.InlineData(values=[{"y": chart.reference.y}]))
        layers.append(level.mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color="currentColor").encode(y=y))
    return alt.layer(*layers)


def _band(curve: Curve) -> list[dict[str, Any]]:
    return [{"name": curve.name, "x": x, "low": low, "high": high} for x, low, high in curve.band]


def _values(curve: Curve) -> list[dict[str, Any]]:
    return [{"name": curve.name, "x": x, "y": y if math.isfinite(y) else None} for x, y in curve.points]
