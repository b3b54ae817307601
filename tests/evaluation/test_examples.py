"""Which labelled text a model is evaluated on: never what it was trained on."""

import json
from dataclasses import replace

import pytest
from cli_fixtures import rows, write_csv
from task_fixtures import named

from tinylm.core.errors import InputError
from tinylm.evaluation.examples import examples_to_evaluate
from tinylm.text.sources import TaskSource, load_task


def test_examples_of_the_training_source_are_its_test_part(trained):
    model, source, task = trained
    found = examples_to_evaluate(model, task.labels, source, None)
    assert named(found, task.labels) == named(task.test, task.labels)
    assert len(found) == 12 and not set(found.texts) & set(task.train.texts)
    other_seed = load_task(source.source, seed=8)
    assert set(found.texts) != set(other_seed.test.texts), "the seed of the training decides"


def test_examples_are_those_of_the_training_where_none_are_named(trained):
    model, _, task = trained
    assert examples_to_evaluate(model, task.labels, None, None).texts == task.test.texts


def test_examples_where_none_are_named_and_the_record_has_no_source_are_refused(trained):
    model, _, task = trained
    record = json.loads((model / "run.json").read_text())
    (model / "run.json").write_text(json.dumps({**record, "task_source": None}))
    with pytest.raises(InputError, match="does not say which file it was trained on; name labelled text"):
        examples_to_evaluate(model, task.labels, None, None)


def test_examples_where_none_are_named_are_no_other_file_of_that_name(trained, monkeypatch, tmp_path):
    model, _, task = trained
    record = json.loads((model / "run.json").read_text())
    record["task_source"] |= {"source": "labels.csv"}
    (model / "run.json").write_text(json.dumps(record))
    monkeypatch.chdir(model.parent)
    assert examples_to_evaluate(model, task.labels, None, None).texts == task.test.texts
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write_csv(tmp_path / "elsewhere" / "labels.csv", rows(18, 2))
    with pytest.raises(InputError, match=r"was trained on labels\.csv, which is not in this folder; name where it is"):
        examples_to_evaluate(model, task.labels, None, None)


def test_examples_of_a_training_with_a_test_file_are_that_file(trained, tmp_path):
    model, _, task = trained
    write_csv(tmp_path / "test.csv", rows(9, 5))
    source = TaskSource(str(tmp_path / "labels.csv"), test=str(tmp_path / "test.csv"))
    record = json.loads((model / "run.json").read_text())
    record |= {"task_source": source.record(), "task_fingerprint": source.load(7).fingerprint}
    (model / "run.json").write_text(json.dumps(record))
    for named_source in (None, source, replace(source, test=None)):
        assert named(examples_to_evaluate(model, task.labels, named_source, None), task.labels) == rows(9, 5)


def test_examples_recognise_the_source_from_another_folder(trained, monkeypatch):
    model, _, task = trained
    monkeypatch.chdir(model.parent)
    assert examples_to_evaluate(model, task.labels, TaskSource("labels.csv"), None).texts == task.test.texts


def test_examples_of_another_file_are_all_of_it(trained, tmp_path):
    model, _, task = trained
    write_csv(tmp_path / "more.csv", rows(18, 2))
    assert len(examples_to_evaluate(model, task.labels, TaskSource(str(tmp_path / "more.csv")), None)) == 18


def test_examples_are_labelled_in_the_order_of_the_model(trained, tmp_path):
    model, source, task = trained
    turned = tuple(reversed(task.labels))
    found = examples_to_evaluate(model, turned, source, None)
    assert named(found, turned) == named(task.test, task.labels)


def test_examples_of_a_folder_are_its_test_part(trained, tmp_path):
    model, _, task = trained
    (tmp_path / "parts").mkdir()
    write_csv(tmp_path / "parts" / "train.csv", rows(30, 4))
    write_csv(tmp_path / "parts" / "test.csv", rows(9, 5))
    found = examples_to_evaluate(model, task.labels, TaskSource(str(tmp_path / "parts")), None)
    assert named(found, task.labels) == rows(9, 5)


def test_examples_with_an_unknown_label_are_refused(trained, tmp_path):
    model, source, _ = trained
    with pytest.raises(InputError, match="does not know the label 'printer'"):
        examples_to_evaluate(model, ("account", "network"), source, None)


def test_examples_of_a_changed_source_are_refused(trained, tmp_path):
    model, source, task = trained
    write_csv(tmp_path / "labels.csv", [*rows(60, 1), ("one more", "printer")])
    with pytest.raises(InputError, match=r"labels\.csv has changed since .*model was trained on it"):
        examples_to_evaluate(model, task.labels, source, None)
