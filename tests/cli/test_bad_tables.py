"""Bad tables, weights, groups and times through the command line: each row of their table in docs/BAD_INPUT.md."""

import re
import shlex
from pathlib import Path

import openpyxl
import pytest
from cli_fixtures import call, contents, rows, write_csv

DOCUMENT = Path(__file__).parents[2] / "docs" / "BAD_INPUT.md"
HEADER = ("text", "label", "when", "weight")
LABELS = rows(12, 1)


def _table(*changes):
    """labels.csv, with the third line changed."""
    whole = [(*row, "2024-03-31", "1") for row in LABELS]
    write_csv(Path("labels.csv"), [whole[0], (*LABELS[1], *changes), *whole[2:]], HEADER)


def _workbook(*table):
    book = openpyxl.Workbook()
    for row in table:
        book.active.append(row)
    book.save("labels.xlsx")


PREPARE = {
    "a file of another encoding than was said": lambda: Path("labels.csv").write_bytes(b"text,label\na,x\n\x81,y\n"),
    "UTF-16 without a word about it": lambda: Path("labels.csv").write_text("text,label\na,x\n", encoding="utf-16"),
    "a workbook that is none": lambda: Path("labels.xlsx").write_text("text,label\n"),
    "an empty workbook": _workbook,
    "a cell beyond the header": lambda: _workbook(("text", "label"), ("a", "x"), ("b", "y", "z")),
    "a time that is none": lambda: _table("yesterday", "1"),
    "numbers and dates in one column": lambda: _table("7", "1"),
    "a weight that is none": lambda: _table("2024-03-31", "heavy"),
    "an entity beyond the text": lambda: write_csv(
        Path("labels.csv"), [("a b", "x", "[[0, 1]]"), ("a" * 40, "y", "[[0, 900]]")], ("text", "label", "when")
    ),
    "both names of a column taken": lambda: write_csv(
        Path("labels.csv"), [("a", "x", "y")], ("text", "label", "predicted_label")
    ),
}


def _documented():
    section = DOCUMENT.read_text(encoding="utf-8").partition("## Refused: tables")[2].partition("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [(what, command.strip("`"), error) for what, command, error in lines[1:]]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _table("2024-03-31", "1")
    Path("letters").mkdir()
    Path("letters.csv").write_text("mine\n")
    return tmp_path


@pytest.mark.parametrize(("what", "command", "error"), _documented(), ids=[row[0] for row in _documented()])
def test_row(here, what, command, error):
    PREPARE.get(what, lambda: None)()
    before = contents(here)
    ran = call(*shlex.split(re.sub(r"^tinylm ", "", command)))
    assert (ran.code, ran.error, ran.out) == (2, error, "")
    assert contents(here) == before


def test_each_preparation_has_a_row():
    assert PREPARE.keys() <= {row[0] for row in _documented()}
