"""The page at the end of a study: results with their intervals, tables, charts, settings, and what to type next.

Its tables can be printed on the screen instead. The page is one HTML file that opens offline and requests nothing
from the network. Its looks are in `report.html`; here the values are escaped and put in. Charts are made in
`charts.py`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from rich.console import Console
from rich.table import Table as RichTable

from tinylm.core.errors import InputError
from tinylm.core.files import write_text
from tinylm.study.reporting.charts import Figure, figure, plotting


@dataclass(frozen=True)
class ResultRow:
    """One line of the results table."""

    name: str
    """What was measured."""
    accuracy: float
    """0 to 1."""
    low: float
    """Lower end of its 95 % interval, 0 to 1."""
    high: float
    """Upper end."""
    seconds: float | None = None
    """Time that it took, None where it is not known."""


@dataclass(frozen=True)
class NextStep:
    """Something to type next: what it does, in a sentence, and the command."""

    what: str
    command: str


@dataclass(frozen=True)
class Table:
    """A table of text."""

    columns: Sequence[str]
    """Names; the first column is the one of the row names."""
    rows: Sequence[Sequence[str]]
    """As many cells each as there are columns."""


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading of its own."""

    heading: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Figure] = ()


def print_sections(sections: Iterable[Section], console: Console) -> None:
    """Print headings, paragraphs and tables; charts need the page."""
    for section in sections:
        console.print(f"\n{section.heading}", style="bold")
        for paragraph in section.paragraphs:
            console.print(paragraph)
        for table in section.tables:
            printed = RichTable(*table.columns)
            for row in table.rows:
                printed.add_row(*row)
            console.print(printed)


def write_report(
    path: Path,
    *,
    title: str,
    summary: str,
    table: Sequence[ResultRow] = (),
    sections: Sequence[Section] = (),
    charts: Sequence[Figure] = (),
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
        sections: further tables and charts, after the results.
        charts: curves to draw.
        notes: a paragraph each: caveats, how to read the numbers.
        next_steps: commands for the reader to copy.
        machine: processor, threads, memory, software, in a line.
        settings: what the study was run with.

    Raises:
        InputError: there is neither a result nor a section, or a chart is empty.
        MissingExtraError: there are charts and altair or vl-convert is not installed.
    """
    if not table and not sections:
        raise InputError("The report has no results; give its table at least one row.")
    template = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    page = Template(template).substitute(
        title=escape(title),
        summary=escape(summary),
        table=(_results(table) if table else "") + "".join(map(_own_section, sections)),
        charts="".join(map(figure, charts)),
        notes=_section("Notes", (f"<p>{escape(note)}</p>" for note in notes)),
        next_steps=_section("What to type next", map(_next_step, next_steps)),
        machine=escape(machine),
        settings=_settings(settings),
        plotting=plotting([chart for section in sections for chart in section.charts] + list(charts)),
    )
    write_text(path, page)


def _section(heading: str, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return f"<h2>{heading}</h2>\n{body}" if body else ""


def _own_section(section: Section) -> str:
    parts = [f"<p>{escape(text)}</p>" for text in section.paragraphs]
    return _section(
        escape(section.heading),
        [*parts, *(figure(chart, level=3) for chart in section.charts), *map(_table, section.tables)],
    )


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    lines = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in table.rows
    )
    return f'<div class="card scroll"><table><thead><tr>{heads}</tr></thead>\n<tbody>{lines}</tbody></table></div>'


def _results(rows: Sequence[ResultRow]) -> str:
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
