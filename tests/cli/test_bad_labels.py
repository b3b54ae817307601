"""Bad input where a text may have several labels: each row of its table in docs/BAD_INPUT.md is run here."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from cli_fixtures import call
from several_fixtures import write_tickets
from voters import write_voters

from tinylm.committee.files import read_committee, write_committee
from tinylm.committee.voting import PLAIN
from tinylm.core.problems import SEVERAL_LABELS

DOCUMENT = Path(__file__).parents[2] / "docs" / "BAD_INPUT.md"
TITLE = "## Refused where a text may have several labels"


def _lists(*labels) -> None:
    lines = (json.dumps({"text": f"text {n}", "labels": x}) + "\n" for n, x in enumerate(labels))
    Path("tickets.jsonl").write_text("".join(lines))


def _cell(value: str) -> None:
    rows = [line.split(",") for line in Path("columns.csv").read_text().splitlines()]
    rows[3][2] = value
    Path("columns.csv").write_text("".join(",".join(row) + "\n" for row in rows))


def _without_ones() -> None:
    lines = Path("columns.csv").read_text().splitlines()
    Path("columns.csv").write_text("\n".join([lines[0], *(f"{line[:-1]}0" for line in lines[1:])]))


PREPARE = {
    "one separator too many": lambda: Path("labels.csv").write_text("text,labels\nfine,printer\nbad,account|\n"),
    "2 in a column of 0 and 1": lambda: _cell("2"),
    "nothing in a column of 0 and 1": lambda: _cell(""),
    "a column of 0 and 1 without a 1": _without_ones,
    "a list with an empty label": lambda: _lists(["network"], ["printer", " "]),
    "a list of lists": lambda: _lists(["network"], [["printer"]]),
    "lists without any label": lambda: _lists([], []),
    "lists with one label only": lambda: _lists(["network"], [], ["network"]),
    "a label that the model does not know": lambda: Path("new.jsonl").write_text('{"text": "a", "labels": ["lift"]}\n'),
}


def _rows() -> list[list[str]]:
    section = DOCUMENT.read_text(encoding="utf-8").partition(TITLE)[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and "`tinylm" in line]
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.fixture(scope="module")
def desk(tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    write_tickets(folder)
    (folder / "base").mkdir()
    write_voters(folder / "single", [(tokenizer, {})])
    write_voters(folder / "several", [(tokenizer, {})], problem_type=SEVERAL_LABELS)
    shutil.copytree(folder / "several" / "member-0", folder / "base", dirs_exist_ok=True)
    return folder


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row[0])
def test_what_the_document_says_is_what_is_said(row, desk, tmp_path, monkeypatch):
    what, command, sentence = row
    shutil.copytree(desk, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    PREPARE.get(what, lambda: None)()
    ran = call(*shlex.split(command.strip("`"))[1:])
    assert (ran.error, ran.code) == (sentence, 2)
    assert not Path("new").exists()


def test_each_prepared_situation_is_in_the_document():
    assert PREPARE.keys() <= {what for what, _, _ in _rows()} and len(_rows()) >= 20


def test_a_committee_of_another_problem_than_its_members_is_refused(desk, tmp_path):
    shutil.copytree(desk / "several", tmp_path / "model")
    stored = read_committee(tmp_path / "model")
    write_committee(tmp_path / "model", stored.members, stored.labels, PLAIN)
    assert "has other labels than its committee" in call("predict", tmp_path / "model", "a").error
