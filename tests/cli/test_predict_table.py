"""`tinylm predict --file`: all columns come back with what was predicted, in any format and on any number of cores."""

import csv
import json

import numpy as np
import openpyxl
import pytest
from cli_fixtures import call
from voters import write_voters

from tinylm.runtime.loading import load
from tinylm.runtime.pool import predict_blocks


@pytest.fixture(scope="module")
def model(tokenizer, tmp_path_factory):
    return write_voters(tmp_path_factory.mktemp("voters") / "model", [(tokenizer, {}), (tokenizer, {"positions": 8})])


@pytest.fixture
def texts(documents):
    return [document.replace("\n", " ") for document in documents[:7]]


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_columns_and_their_order_are_kept(model, texts, tmp_path):
    rows = [[str(number), text, 'a "note"; with, all\nof it'] for number, text in enumerate(texts)]
    with (tmp_path / "new.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=";").writerows([["id", "text", "note"], *rows])
    ran = call("predict", model, "--file", tmp_path / "new.csv", "-o", tmp_path / "labelled.tsv")
    assert (ran.code, ran.out) == (0, "")
    assert "7 labelled rows in" in ran.err
    with (tmp_path / "labelled.tsv").open(encoding="utf-8", newline="") as file:
        header, *labelled = csv.reader(file, delimiter="\t")
    assert header == ["id", "text", "note", "label", "probability", "disagreement"]
    assert [row[:3] for row in labelled] == rows
    committee = load(model)
    assert [row[3] for row in labelled] == committee.predict(texts)
    np.testing.assert_allclose([float(row[4]) for row in labelled], committee.predict_proba(texts).max(1), atol=1e-6)
    np.testing.assert_allclose([float(row[5]) for row in labelled], committee.disagreement(texts), atol=1e-6)
    # A csv is written as it was read.
    assert call("predict", model, "--file", tmp_path / "new.csv", "-o", tmp_path / "same.csv").code == 0
    assert (tmp_path / "same.csv").read_text().startswith("id;text;note;label;probability;disagreement\n")


def test_every_format_becomes_every_other_one(model, texts, tmp_path):
    (tmp_path / "0.jsonl").write_text("".join(json.dumps({"text": t, "n": i}) + "\n" for i, t in enumerate(texts)))
    expected = load(model).predict(texts)
    source = tmp_path / "0.jsonl"
    for suffix in (".parquet", ".xlsx", ".csv", ".jsonl"):
        labelled = tmp_path / f"labelled{suffix}"
        assert call("predict", model, "--file", source, "-o", labelled).code == 0
        found = [json.loads(line) for line in call("predict", model, "--file", labelled, "--json").out.splitlines()]
        assert [(row["row"], row["text"], row["label"]) for row in found] == [
            (place, text, label) for place, (text, label) in enumerate(zip(texts, expected, strict=True), start=1)
        ]
        source = tmp_path / f"copy{suffix}"
        copy(labelled, source)
    sheet = openpyxl.load_workbook(tmp_path / "labelled.xlsx").active
    assert [cell.value for cell in sheet[3]][:2] == [texts[1], 1]


def copy(labelled, target):
    """The table without what was added."""
    from tinylm.text.formats import open_table
    from tinylm.text.written import new_table

    table = open_table(labelled)
    with new_table(target, ["text", "n"], table) as write:
        write([{name: row[name] for name in ("text", "n")} for _, row in table.rows()])


def test_a_name_that_is_taken_is_kept_and_ours_is_another(model, texts, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{text},x\n" for text in texts))
    ran = call("predict", model, "--file", tmp_path / "a.csv", "-o", tmp_path / "b.csv")
    assert ran.err.endswith("; added as predicted_label, beside its own\n")
    header, *rows = read(tmp_path / "b.csv")
    assert header == ["text", "label", "predicted_label", "probability", "disagreement"]
    assert {row[1] for row in rows} == {"x"}
    again = call("predict", model, "--file", tmp_path / "b.csv", "-o", tmp_path / "c.csv")
    assert again.code == 2 and "has columns 'label' and 'predicted_label' already" in again.error
    assert not (tmp_path / "c.csv").exists()


def test_a_file_that_breaks_off_leaves_nothing(model, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": 3}\n')
    ran = call("predict", model, "--file", tmp_path / "a.jsonl", "-o", tmp_path / "b.csv")
    assert ran.code == 2 and "a.jsonl, line 2: 'text' is int, not text" in ran.error
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b", "label": "own"}\n')
    ran = call("predict", model, "--file", tmp_path / "a.jsonl", "-o", tmp_path / "b.jsonl")
    assert ran.code == 2 and "a row has 'label', which the first one does not have" in ran.error
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_json_repeats_text_and_row(model, texts):
    ran = call("predict", model, *texts[:2], "--json")
    assert [(row["row"], row["text"]) for row in map(json.loads, ran.out.splitlines())] == [
        (1, texts[0]),
        (2, texts[1]),
    ]


def test_two_processes_predict_what_one_does(model, documents):
    blocks = [documents[start : start + 7] for start in range(0, 70, 7)]
    one = list(predict_blocks(model, blocks, cores=1))
    two = list(predict_blocks(model, iter(blocks), cores=2, least=3))
    assert len(one) == len(two) == 10
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
        np.testing.assert_array_equal(ours.votes, theirs.votes)


@pytest.mark.parametrize("cores", [1, 2])
def test_files_are_read_as_they_are_predicted(model, cores):
    taken = []

    def blocks():
        for number in range(60):
            taken.append(number)
            yield ["a text"]

    predictions = predict_blocks(model, blocks(), cores=cores, least=2)
    next(predictions)
    assert len(taken) <= 2 + 2 * cores
    predictions.close()
