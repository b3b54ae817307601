"""Further charts of a page: estimates with their intervals, a line each, and points with names."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinylm.core.errors import InputError
from tinylm.study.reporting.charts import LegendItem, colours_of
from tinylm.study.statistics.intervals import Interval

_LINE, _AXIS = 22, 50
"""Pixels of a line of an interval chart, and of its axis."""
_LABEL_WIDTH = 150
_NAME_LINE, _NAME_SHARE = 13, 0.35
"""Pixels from the name of a point to the next one below, and the share of the horizontal axis that a name takes."""


@dataclass(frozen=True)
class Estimate:
    """A line of an interval chart."""

    name: str
    """At the left."""
    group: str
    """Estimates of one group share a colour."""
    interval: Interval


@dataclass(frozen=True)
class IntervalChart:
    """Estimates with their 95 % intervals: several of one name stand on one line, a colour each."""

    title: str
    x: str
    """Name and unit of the axis."""
    estimates: Sequence[Estimate]
    zero: bool = True
    """Draw a line at zero, which an interval excludes or not."""

    @property
    def height(self) -> int:
        """See `Figure`."""
        groups = len({estimate.group for estimate in self.estimates})
        names = len({estimate.name for estimate in self.estimates})
        return _AXIS + names * (_LINE + 6 * (groups - 1))

    @property
    def caption(self) -> str:
        """See `Figure`."""
        return "Point: mean over seeds. Line: 95 % t interval, where there is more than one seed."

    def legend(self) -> list[LegendItem]:
        """See `Figure`."""
        return [LegendItem(colour, group) for group, colour in colours_of(e.group for e in self.estimates).items()]

    def layers(self) -> Any:
        """See `Figure`."""
        import altair as alt  # noqa: PLC0415

        if not self.estimates:
            raise InputError(f"The chart {self.title!r} has no estimates; leave it out or give it one.")
        colours = colours_of(estimate.group for estimate in self.estimates)
        names, groups = list(dict.fromkeys(estimate.name for estimate in self.estimates)), list(colours)
        y = alt.Y("name:N", title=None, sort=names, axis=alt.Axis(labelLimit=_LABEL_WIDTH, grid=False, ticks=False))
        offset = alt.YOffset("group:N", sort=groups)
        scale = alt.Scale(domain=groups, range=list(colours.values()))
        colour = alt.Color("group:N", scale=scale, legend=None)
        data = alt.Chart(alt.InlineData(values=[_values(estimate) for estimate in self.estimates]))
        x = alt.X("mean:Q", title=self.x, axis=alt.Axis(tickCount=5), scale=alt.Scale(zero=self.zero))
        tooltip = [
            alt.Tooltip("name:N", title="of"),
            alt.Tooltip("group:N", title="by"),
            alt.Tooltip("shown:N", title=self.x),
        ]
        layers = [
            data.mark_rule(strokeWidth=2).encode(
                x=alt.X("low:Q", title=self.x), x2="high:Q", y=y, yOffset=offset, color=colour
            ),
            data.mark_point(filled=True, size=50, opacity=1).encode(
                x=x, y=y, yOffset=offset, color=colour, tooltip=tooltip
            ),
        ]
        if self.zero:
            line = alt.Chart(alt.InlineData(values=[{"mean": 0.0}]))
            layers.insert(0, line.mark_rule(strokeDash=[4, 3], color="currentColor").encode(x="mean:Q"))
        return alt.layer(*layers)


@dataclass(frozen=True)
class Point:
    """A point of a scatter chart."""

    name: str
    group: str
    """Points of one group share a colour."""
    x: float
    y: float
    named: bool = False
    """Write the name beside the point."""


@dataclass(frozen=True)
class ScatterChart:
    """Points over two axes, each with its name under the pointer."""

    title: str
    x: str
    y: str
    points: Sequence[Point]
    log_x: bool = False
    height: int = 340
    """Pixels."""

    @property
    def caption(self) -> str:
        """See `Figure`."""
        return "A point a measurement; point at it for its name."

    def legend(self) -> list[LegendItem]:
        """See `Figure`."""
        return [LegendItem(colour, group) for group, colour in colours_of(p.group for p in self.points).items()]

    def layers(self) -> Any:
        """See `Figure`."""
        import altair as alt  # noqa: PLC0415

        if not self.points:
            raise InputError(f"The chart {self.title!r} has no points; leave it out or give it one.")
        colours = colours_of(point.group for point in self.points)
        scale = alt.Scale(type="log") if self.log_x else alt.Scale(zero=False)
        x = alt.X("x:Q", title=self.x, scale=scale, axis=alt.Axis(tickCount=6, grid=False, format="~g"))
        y = alt.Y("y:Q", title=self.y, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
        colour = alt.Color("group:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
        tooltip = [
            alt.Tooltip("name:N", title="of"),
            alt.Tooltip("x:Q", title=self.x, format=".4~g"),
            alt.Tooltip("y:Q", title=self.y, format=".4~g"),
        ]
        data = alt.Chart(alt.InlineData(values=[vars(point) for point in self.points]))
        layers = [data.mark_point(filled=True, size=60, opacity=0.85).encode(x=x, y=y, color=colour, tooltip=tooltip)]
        named = [{"x": point.x, "y": height, "name": point.name} for point, height in self.heights_of_names()]
        if named:
            names = alt.Chart(alt.InlineData(values=named)).mark_text(
                align="left", dx=7, fontSize=11, color="currentColor"
            )
            layers.append(names.encode(x=x, y=y, text="name:N"))
        return alt.layer(*layers)

    def heights_of_names(self) -> list[tuple[Point, float]]:
        """Each point that has its name written, from the top, and the height of that name, below those in its way."""
        across = [math.log(point.x) if self.log_x else point.x for point in self.points]
        near = _NAME_SHARE * (max(across) - min(across))
        up = [point.y for point in self.points]
        line = _NAME_LINE * (max(up) - min(up)) / (self.height - _AXIS)
        found: list[tuple[Point, float]] = []
        placed: list[tuple[float, float]] = []
        for place, point in sorted(zip(across, self.points, strict=True), key=lambda pair: -pair[1].y):
            if not point.named:
                continue
            height = point.y
            for other, taken in placed:
                if abs(place - other) <= near and height > taken - line:
                    height = taken - line
            placed.append((place, height))
            found.append((point, height))
        return found


def _values(estimate: Estimate) -> dict[str, Any]:
    found = estimate.interval
    # A single seed has no interval, and its line no length.
    low, high = (found.low, found.high) if found.n > 1 else (found.mean, found.mean)
    return {
        "name": estimate.name,
        "group": estimate.group,
        "mean": found.mean,
        "low": low,
        "high": high,
        "shown": str(found),
    }
