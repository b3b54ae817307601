"""Which labelled text a model is evaluated on: never what it was trained on."""

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
