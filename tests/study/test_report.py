import json
import math
import re
import sys
from html.parser import HTMLParser

import pytest

from tinylm.core.errors import InputError, MissingExtraError
from tinylm.study.reporting.charts import Chart, Curve, Reference
from tinylm.study.reporting.report import NextStep, ResultRow, Section, Table, write_report

HOSTILE = """</script><script>alert("1")</script><img src=x onerror='alert(2)'> $title & ${summary}"""


class Page(HTMLParser):
    """The elements of a page, the attributes they carry, and the text outside scripts and styles."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes, self.scripts, self.text = [], [], [], ""
        self._within = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._within = tag

    def handle_endtag(self, tag):
        self._within = ""

    def handle_data(self, data):
        if self._within == "script":
            self.scripts.append(data)
        elif self._within != "style":
            self.text += data


def write(path, word="plain", **changed):
    loss = Chart(
        title=word,
        x=word,
        y=word,
        curves=[
            Curve(word, "train", [(1.0, 7.0), (2.0, 5.0), (3.0, 4.0)]),
            Curve(word, "validation", [(1.0, 6.5), (3.0, 4.25)]),
        ],
        reference=Reference(word, 6.9),
    )
    accuracy = Chart("Fine-tuning", "epoch", "accuracy", [Curve(word, "validation", [(1.0, 0.8), (2.0, 0.875)])])
    arguments = {
        "title": word,
        "summary": word,
        "table": [ResultRow(word, 0.875, 0.86, 0.89, 75.0), ResultRow("baseline", 0.8, 0.78, 0.82)],
        "charts": [loss, accuracy],
        "notes": [word],
        "next_steps": [NextStep(word, word)],
        "machine": word,
        "settings": {word: word},
    }
    write_report(path, **(arguments | changed))
    return Page(path.read_text(encoding="utf-8"))


def specs(page):
    return json.loads(re.search(r"const specs = (.*);\n", page.scripts[-1])[1])


def points(spec):
    named = [layer["data"]["name"] if "data" in layer else spec["data"]["name"] for layer in spec["layer"]]
    return [[tuple(point.values()) for point in spec["datasets"][name]] for name in named]


def test_report_shows_what_it_is_given(tmp_path):
    page = write(tmp_path / "report.html", title="Title", summary="Summary.", machine="2 cores")
    for shown in [
        "Title",
        "Summary.",
        "87.5 %",
        "86.0 % to 89.0 %",
        "1 min",
        "80.0 %",
        "2 cores",
        "validation 4.25",
    ]:
        assert shown in page.text
    assert page.text.count("best") == 1


def test_report_requests_nothing_from_the_network(tmp_path):
    page = write(tmp_path / "report.html")
    assert not {name for name, _ in page.attributes} & {"src", "href", "srcset", "action", "data"}
    assert not {"link", "img", "iframe", "object", "base"} & set(page.tags)
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_report_keeps_hostile_text_as_text(tmp_path):
    plain, hostile = write(tmp_path / "plain.html"), write(tmp_path / "hostile.html", HOSTILE)
    assert hostile.tags == plain.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plain.attributes]
    assert hostile.text.count(HOSTILE) == plain.text.count("plain")
    assert points(specs(hostile)[0])[0][0] == (HOSTILE, 1.0, 7.0)


def test_figure_holds_the_points_and_the_reference(tmp_path):
    loss, accuracy = specs(write(tmp_path / "report.html"))
    assert points(loss) == [
        [("plain", 1.0, 7.0), ("plain", 2.0, 5.0), ("plain", 3.0, 4.0)],
        [("plain", 1.0, 6.5), ("plain", 3.0, 4.25)],
        [(6.9,)],
    ]
    train, validation, reference = loss["layer"]
    assert validation["mark"]["strokeWidth"] > train["mark"]["strokeWidth"]
    assert reference["mark"]["strokeDash"]
    assert len(accuracy["layer"]) == 1


def test_figure_breaks_the_line_at_a_loss_that_is_not_finite(tmp_path):
    chart = Chart("c", "x", "y", [Curve("m", "train", [(1.0, 2.0), (2.0, math.nan), (3.0, math.inf)])])
    (spec,) = specs(write(tmp_path / "report.html", charts=[chart]))
    assert points(spec) == [[("m", 1.0, 2.0), ("m", 2.0, None), ("m", 3.0, None)]]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0.834, "0.83 s"),
        (42.4, "42 s"),
        (1260, "21 min"),
        (3599, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_report_gives_durations_in_words(tmp_path, seconds, shown):
    page = write(tmp_path / "report.html", table=[ResultRow("m", 0.5, 0.4, 0.6, seconds)], charts=[])
    assert shown in page.text


def test_report_without_charts_needs_no_charting_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    write(tmp_path / "report.html", charts=[])
    assert (tmp_path / "report.html").stat().st_size < 20_000


def test_report_names_a_missing_extra_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtraError, match=r"tinylm\[study\]"):
        write(tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changed", [{"table": []}, {"charts": [Chart("c", "x", "y", [Curve("m", "train", [])])]}])
def test_report_refuses_empty_results(tmp_path, changed):
    with pytest.raises(InputError):
        write(tmp_path / "report.html", **changed)


def test_report_shows_sections_with_tables_and_charts(tmp_path):
    band = Curve("m", "validation", [(1.0, 2.0), (2.0, 1.0)], band=[(1.0, 1.5, 2.5), (2.0, 0.5, 1.5)])
    section = Section(HOSTILE, [HOSTILE], [Table(["a", HOSTILE], [[HOSTILE, "1 ± 2"]])], [Chart("c", "x", "y", [band])])
    page = write(tmp_path / "report.html", table=[], charts=[], sections=[section])
    assert page.text.count(HOSTILE) == 4 and "1 ± 2" in page.text
    (spec,) = specs(page)
    assert points(spec)[0] == [("m", 1.0, 1.5, 2.5), ("m", 2.0, 0.5, 1.5)]
    assert spec["layer"][0]["mark"]["type"] == "area"
