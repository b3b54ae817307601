"""`tinylm.evaluate`: from a file, a table or texts in memory, or the test part of a training, to the same measures."""

import json
from pathlib import Path

import pytest
from cli_fixtures import call, rows, write_help_desk

import tinylm
from tinylm.core.errors import InputError
from tinylm.evaluation.committees import CommitteeEvaluation
from tinylm.evaluation.several import SeveralLabelsEvaluation

SHORT = {"steps": 3, "precision": "float32"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    write_help_desk(folder)
    base = tinylm.pretrain(folder / "notes.txt", output=folder / "base", preset="bert-1-w128", progress=None, **SHORT)
    tinylm.finetune(base, folder / "labels.csv", output=folder / "model", progress=None, **SHORT)
    texts, labels = zip(*rows(60, 1), strict=True)
    several = [[label, "urgent"] if "today" in text else [label] for text, label in zip(texts, labels, strict=True)]
    several[0] = ["urgent"]
    tinylm.finetune(base, texts=texts, labels=several, output=folder / "several", progress=None, **SHORT)
    return folder


def test_where_nothing_is_named_it_is_the_test_part_of_the_training(desk):
    measured = tinylm.evaluate(desk / "model")
    assert measured == tinylm.evaluate(desk / "model", desk / "labels.csv")
    assert isinstance(measured, CommitteeEvaluation) and measured.committee.n == 12
    printed = call("evaluate", desk / "model", "--json")
    assert json.loads(printed.out) == json.loads(json.dumps(measured.as_json()))
    assert call("evaluate", desk / "model").out == f"{measured}\n"


def test_files_tables_and_texts_in_memory_are_measured_whole_and_alike(desk):
    texts, labels = zip(*rows(18, 2), strict=True)
    committee = tinylm.load(desk / "model")
    of_file = tinylm.evaluate(committee, desk / "more.csv")
    assert of_file.committee.n == 18
    assert of_file.committee == tinylm.evaluate(committee, texts=texts, labels=labels).committee
    assert of_file.committee == tinylm.evaluate(committee, {"text": texts, "label": labels}).committee
    named = tinylm.evaluate(committee, {"a": texts, "b": labels}, text_column="a", label_column="b")
    assert of_file.committee == named.committee


def test_texts_of_one_label_can_be_measured(desk):
    text, label = rows(18, 2)[0]
    assert tinylm.evaluate(desk / "model", texts=[text], labels=[label]).committee.n == 1


def test_several_labels_are_measured_in_memory(desk):
    measured = tinylm.evaluate(desk / "several", texts=["a", "b"], labels=[["urgent", "account"], []])
    assert isinstance(measured, SeveralLabelsEvaluation) and measured.committee.n == 2
    assert str(measured).startswith("micro F1 ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"texts": ["a"]}, "give `task`, or both of the others"),
        ({"task": "more.csv", "texts": ["a"], "labels": ["b"]}, "give `task`, or both of the others"),
        ({"texts": ["a"], "labels": ["lift"]}, r"row 0 has the label 'lift', which the model does not know"),
        ({"texts": ["a"], "labels": [["account", "network"]]}, "several labels a text, and the model gives one"),
        ({"texts": [], "labels": []}, "texts and labels are empty"),
        ({"texts": ["a", "b"], "labels": ["account"]}, "there are 2 texts and 1 labels"),
        ({"text_column": "note"}, "there is no labelled text; give a file, a table"),
        ({"task": {"a": ["x"], "b": ["account"]}}, "the table has no column that is known as text"),
    ],
    ids=str,
)
def test_what_cannot_be_measured_is_said(desk, arguments, said):
    with pytest.raises(InputError, match=said):
        tinylm.evaluate(desk / "model", **arguments)


def test_a_model_of_labels_in_memory_asks_for_labelled_text(desk):
    with pytest.raises(InputError, match="does not say which file it was trained on; name labelled text to evaluate"):
        tinylm.evaluate(desk / "several")
