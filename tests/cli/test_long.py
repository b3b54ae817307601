"""What is not read of long texts is said, once, beside the answers; and a model does what it was trained for."""

import json

import pytest
from cli_fixtures import call, rows, write_csv, write_help_desk

SHORT = ("--steps", "3", "--precision", "float32", "--no-search")
TAIL = "what follows is not read: fine-tuning with --long windows reads all of a text"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A base, and labels of which every third row is of some 200 tokens."""
    folder = tmp_path_factory.mktemp("desk")
    write_help_desk(folder)
    table = [(text * 20 if number % 3 == 0 else text, label) for number, (text, label) in enumerate(rows(60, 1))]
    write_csv(folder / "long.csv", table)
    pretrained = call(
        *("pretrain", "--corpus", folder / "notes.txt", "-o", folder / "base", "--preset", "bert-1-w128"),
        *("--members", "1", "--steps", "2", "--precision", "float32"),
    )
    assert pretrained.code == 0, pretrained.err
    return folder


def finetune(desk, name, *more):
    return call("finetune", desk / "base", "--task", desk / "long.csv", "-o", desk / name, *SHORT, *more)


def test_truncation_is_announced_and_windows_are_the_default(desk):
    windows, cut = finetune(desk, "windows"), finetune(desk, "cut", "--long", "truncate")
    assert (windows.code, cut.code) == (0, 0), windows.err + cut.err
    assert "texts are longer than 128 tokens, and are read in windows" in windows.err
    assert "not read" not in windows.err
    assert cut.err.count("what follows is not read") == 2  # of what it learns from, and of the test part
    assert f"texts are longer than 128 tokens; {TAIL}" in cut.err
    told = {name: json.loads((desk / name / "committee.json").read_text())["long"] for name in ("windows", "cut")}
    assert told == {"windows": "windows", "cut": "truncate"}

    for name, said in (("windows", ""), ("cut", f"20 of 60 texts are longer than 128 tokens; {TAIL}\n")):
        predicted = call("predict", desk / name, "--file", desk / "long.csv")
        assert (predicted.code, predicted.err) == (0, said)
        assert len(predicted.out.splitlines()) == 60
        measured = call("evaluate", desk / name, desk / "more.csv", "--json")
        assert (measured.code, measured.err, json.loads(measured.out)["truncated"]) == (0, "", 0)
        answers = [
            json.loads(line) for line in call("predict", desk / name, "--json", "x " * 200, "x").out.splitlines()
        ]
        assert [one["truncated"] for one in answers] == [name == "cut", False]

    resumed = finetune(desk, "cut", "--resume")
    assert resumed.code == 2
    assert "settings.long was 'truncate' and is now 'windows'" in resumed.error
