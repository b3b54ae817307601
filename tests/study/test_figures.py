"""Interval charts, scatter charts, and charts as svg files."""

import json
import re
from dataclasses import replace

import pytest

from tinylm.core.errors import InputError
from tinylm.study.reporting.charts import Chart, Curve, svg
from tinylm.study.reporting.figures import Estimate, IntervalChart, Point, ScatterChart
from tinylm.study.reporting.report import Section, write_report
from tinylm.study.statistics.intervals import t_interval

INTERVALS = IntervalChart(
    "Gap",
    "points",
    [
        Estimate("bert-1", "mlm", t_interval([1.0, 2.0, 3.0])),
        Estimate("bert-1", "default", t_interval([4.0])),
        Estimate("bert-6", "mlm", t_interval([-1.0, 0.0])),
    ],
)
SCATTER = ScatterChart(
    "Frontier", "ms", "accuracy, %", [Point("a <b>", "ours", 0.1, 80.0), Point("c", "theirs", 10.0, 70.0)], log_x=True
)


def specs(page):
    return json.loads(re.search(r"const specs = (.*);\n", page.read_text(encoding="utf-8"))[1])


def test_page_has_interval_and_scatter_charts_under_their_section(tmp_path):
    page = tmp_path / "report.html"
    section = Section("Results", charts=[INTERVALS, SCATTER])
    write_report(page, title="t", summary="s", sections=[section], machine="m", settings={})
    gap, frontier = specs(page)
    text = page.read_text(encoding="utf-8")
    assert "<h3>Gap</h3>" in text and "<h3>Frontier</h3>" in text and f"height: {INTERVALS.height}px" in text
    found = next(rows for rows in gap["datasets"].values() if len(rows) == 3)
    assert [(row["name"], row["group"], row["mean"]) for row in found] == [
        ("bert-1", "mlm", 2.0),
        ("bert-1", "default", 4.0),
        ("bert-6", "mlm", -0.5),
    ]
    assert found[1]["low"] == found[1]["high"] == 4.0, "a single seed has no interval"
    assert found[0]["low"] < 0 < found[0]["high"]
    assert frontier["layer"][0]["encoding"]["x"]["scale"] == {"type": "log"}


@pytest.mark.parametrize("chart", [INTERVALS, SCATTER], ids=lambda chart: chart.title)
def test_chart_as_svg_is_of_fixed_size_and_readable_on_white(chart):
    drawn = svg(chart)
    assert drawn.startswith("<svg") and "currentColor" not in drawn and chart.x in drawn


def test_named_points_have_their_names_in_the_svg():
    named = svg(replace(SCATTER, points=[replace(SCATTER.points[0], named=True)]))
    assert "a &lt;b&gt;</text>" in named and "a &lt;b&gt;</text>" not in svg(SCATTER)


def test_names_of_near_points_stand_below_each_other():
    at = {"a": (1.0, 80.0), "b": (1.1, 79.9), "c": (1.2, 79.8), "far": (100.0, 79.9), "low": (1.0, 60.0)}
    points = [Point(name, "ours", x, y, named=True) for name, (x, y) in at.items()]
    heights = {p.name: height for p, height in replace(SCATTER, points=points).heights_of_names()}
    assert (heights["a"], heights["far"], heights["low"]) == (80.0, 79.9, 60.0)
    assert heights["a"] - heights["b"] == pytest.approx(heights["b"] - heights["c"])
    assert heights["a"] - heights["b"] > 0.5


def test_svg_has_a_legend_which_the_page_has_beside_the_chart():
    assert ">theirs</text>" in svg(SCATTER) and ">default</text>" in svg(INTERVALS)


def test_curve_with_zero_on_a_symlog_axis_is_drawn():
    chart = Chart("c", "documents", "%", [Curve("m", "test", [(0.0, 1.0), (1e5, 2.0)])], x_scale="symlog")
    assert "NaN" not in svg(chart)


@pytest.mark.parametrize("chart", [IntervalChart("Empty", "x", []), ScatterChart("Empty", "x", "y", [])])
def test_empty_charts_are_refused(chart):
    with pytest.raises(InputError, match="'Empty' has no"):
        svg(chart)
