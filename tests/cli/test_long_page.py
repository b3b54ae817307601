"""docs/LONG_TEXTS.md does what it says: its commands run in their order, and its Python after them."""

import re
import shlex
from pathlib import Path

import pytest
from cli_fixtures import call, rows, write_csv, write_help_desk

PAGE = (Path(__file__).parents[2] / "docs" / "LONG_TEXTS.md").read_text(encoding="utf-8")
SHORT = ("--steps", "2", "--precision", "float32", "--no-search")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A base, and labels of which every third text has some 200 tokens."""
    write_help_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    table = [(text * 20 if number % 3 == 0 else text, label) for number, (text, label) in enumerate(rows(60, 1))]
    write_csv(Path("labels.csv"), table)
    write_csv(Path("letters.csv"), table)
    pretrained = call(
        *("pretrain", "--corpus", "notes.txt", "-o", "base", "--preset", "bert-1-w128", "--members", "1"),
        *("--steps", "2", "--precision", "float32"),
    )
    assert pretrained.code == 0, pretrained.err


def test_the_page_does_what_it_says(desk, capsys):
    said = []
    for arguments in (shlex.split(block.removeprefix("tinylm ")) for block in blocks("console")):
        ran = call(*arguments, *(SHORT if arguments[0] == "finetune" else ()))
        assert ran.code == 0, ran.err
        said.append(ran.err)
    windows, quick, predicted, whole = said
    assert re.search(r"\d+ of 48 texts are longer than 128 tokens, and are read in windows", windows)
    assert predicted.strip() == re.search(r"^    (20 of 60 .*)$", PAGE, re.MULTILINE)[1]
    assert predicted.partition("; ")[2].strip() in quick
    assert "are longer than" not in whole, "all of each text is read at once"
    (code,) = blocks("python")
    exec(code, {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(int(tokens) > 600, truncated) for _, tokens, truncated in printed] == [(True, "False"), (False, "False")]
