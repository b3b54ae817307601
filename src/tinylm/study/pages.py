"""The pages of a study: report.html to look at, report.md with its svg files for docs/, the table, and an index."""

import json
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tinylm.core.errors import InputError
from tinylm.core.files import write_json, write_text
from tinylm.study.declaration import Findings, Study
from tinylm.study.grid import FailedRunError, machines_of
from tinylm.study.pace import duration
from tinylm.study.reporting.charts import svg
from tinylm.study.reporting.report import Section, Table, write_report
from tinylm.study.running import collect, results_of
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.run import Run, name_of
from tinylm.study.runs.run_folders import RunFolders
from tinylm.study.studies import study_named

RECORD = "study.json"
_PAGE, _MARKDOWN, _TABLE, _INDEX = "report.html", "report.md", "results", "README.md"
_READING = "Mean over seeds ± half of its 95 % t interval (number of seeds); differences are paired by seed."


@dataclass(frozen=True)
class Record:
    """What a study was run with, kept in its folder so that its page can be made again."""

    study: str
    scale: str
    assignments: tuple[str, ...]
    store: str
    """Folder of the runs."""
    data_dir: str | None = None
    failed: tuple[tuple[str, str], ...] = ()
    """Titles of runs that failed, and why."""

    @property
    def command(self) -> str:
        """What runs it again, without where its data and its runs are."""
        settings = [part for assignment in self.assignments for part in ("--set", assignment)]
        return shlex.join(["tinylm", "study", self.study, "--scale", self.scale, *settings, "-o", self.study])

    def with_failures(self, failed: Mapping[str, str]) -> "Record":
        """The record with the titles of runs that failed, and their reasons."""
        return replace(self, failed=tuple(failed.items()))

    def save(self, folder: Path) -> None:
        """Write it."""
        write_json(folder / RECORD, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """Read it.

        Raises:
            InputError: the folder has none, or it is damaged.
        """
        path = folder / RECORD
        if not path.is_file():
            raise InputError(
                f"{folder} holds no study: it has no {RECORD}; give the folder that `tinylm study -o` wrote"
            )
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            failed = tuple((str(title), str(reason)) for title, reason in stored.pop("failed"))
            return cls(**{**stored, "assignments": tuple(stored["assignments"])}, failed=failed)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} describes no study; run the study again") from error

    def opened(self) -> tuple[Study, Lab]:
        """The study and where its runs are."""
        store = RunFolders(Path(self.store), complete=True)
        return study_named(self.study).at(self.scale, self.assignments), Lab(store, self.data_dir)


def write_pages(folder: Path) -> Findings:
    """Write the pages and the table of the study in a folder.

    Raises:
        InputError: the folder holds no study, or nothing of it is measured yet.
        MissingExtraError: altair, vl-convert or pyarrow is not installed.
    """
    record = Record.read(folder)
    study, lab = record.opened()
    results = results_of(study, lab)
    if not results.rows:
        raise InputError(f"nothing of the study in {folder} is measured yet; run it with {record.command}")
    results.write(folder, _TABLE)
    found = study.findings(results)
    entries = lab.store.entries(sorted(_stored_runs(study, lab)))
    how = _how_it_was_run(record, study, entries)
    sections = [*found.sections, *_paper(study, found), *_failed(record)]
    write_report(
        folder / _PAGE,
        title=study.question,
        summary=found.answer,
        sections=sections,
        notes=[_READING],
        machine=" ".join(how),
        settings=vars(study),
    )
    write_text(folder / _MARKDOWN, "".join(_markdown(folder, study, found.answer, sections, how)))
    return found


def write_index(folder: Path) -> list[str]:
    """Write the pages of all studies in a folder, and an index with a line for each.

    Returns:
        Names of their folders.

    Raises:
        InputError: there is no study.
    """
    names = [path.parent.name for path in sorted(folder.glob(f"*/{RECORD}"))]
    if not names:
        raise InputError(
            f"{folder} holds no study; give the folder that `tinylm study -o` wrote, or one of such folders"
        )
    lines = ["# Studies\n\n", "| question | answer |\n|---|---|\n"]
    for name in names:
        answer = write_pages(folder / name).answer
        question = study_named(Record.read(folder / name).study).question
        lines.append(f"| [{_cell(question)}]({name}/{_MARKDOWN}) | {_cell(answer)} |\n")
    write_text(folder / _INDEX, "".join(lines))
    return names


def copy_results(folder: Path, names: Sequence[str], to: Path) -> None:
    """Copy what belongs into a project: report.md, its figures and results.csv of studies, and their index.

    Args:
        folder: of the studies.
        names: of their folders.
        to: folder to write, with a folder for each study.
    """
    for name in names:
        (to / name).mkdir(parents=True, exist_ok=True)
        made = folder / name
        for path in [made / _MARKDOWN, made / f"{_TABLE}.csv", *made.glob("figure-*.svg")]:
            shutil.copyfile(path, to / name / path.name)
    if (folder / _INDEX).is_file():
        shutil.copyfile(folder / _INDEX, to / _INDEX)


def _stored_runs(study: Study, lab: Lab) -> set[str]:
    """Names of all runs that are known by now, pre-training and searches included."""
    found: dict[Run, None] = {}
    for levels, seed in study.cells():
        for run in study.runs(levels, seed):
            collect(run, lab, found)
    names = set()
    for run in found:
        # The settings of a run whose search failed, or is not done, are not known.
        with suppress(FailedRunError, LookupError):
            names.add(name_of(run, lab))
    return names


def _how_it_was_run(record: Record, study: Study, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    seconds = sum(entry.get("seconds", 0.0) for entry in entries)
    seeds = ", ".join(map(str, study.seeds))
    return [
        f"{record.command}.",
        f"Seeds {seeds}; {len(entries):,} runs, {duration(seconds)} of running in all.",
        f"Machine: {'; '.join(machines_of([dict(entry) for entry in entries]))}.",
        f"tinylm {version('tinylm')}.",
    ]


def _paper(study: Study, found: Findings) -> Iterator[Section]:
    texts = [text for text in (study.paper, found.beside_the_paper) if text]
    if texts:
        yield Section("Beside the paper", texts)


def _failed(record: Record) -> Iterator[Section]:
    if record.failed:
        yield Section("Failed runs", tables=[Table(["run", "reason"], record.failed)])


def _markdown(
    folder: Path, study: Study, answer: str, sections: Sequence[Section], how: Sequence[str]
) -> Iterator[str]:
    yield f"# {study.question}\n\n{answer}\n"
    number = 0
    for section in sections:
        yield f"\n## {section.heading}\n"
        yield from (f"\n{paragraph}\n" for paragraph in section.paragraphs)
        for chart in section.charts:
            number += 1
            file = f"figure-{number}.svg"
            write_text(folder / file, svg(chart))
            legend = ", ".join(item.text for item in chart.legend())
            yield f"\n**{chart.title}**\n\n![{chart.title}]({file})\n\n{legend}. {chart.caption}\n"
        for table in section.tables:
            yield f"\n| {' | '.join(map(_cell, table.columns))} |\n|{'---|' * len(table.columns)}\n"
            yield from (f"| {' | '.join(map(_cell, row))} |\n" for row in table.rows)
    yield f"\n{_READING}\n\n## How it was run\n\n" + "".join(f"- {line}\n" for line in how)
    yield f"- All measurements: [{_TABLE}.csv]({_TABLE}.csv).\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
