"""How good a committee is, and on what."""

import numpy as np
import pytest
from cli_fixtures import rows, write_csv

from tinylm.core.errors import InputError
from tinylm.core.runs import claim
from tinylm.evaluation.committees import Validation, evaluate_committee, examples_to_evaluate, open_validation
from tinylm.text.sources import TaskSource, load_task
from tinylm.text.splits import Examples

LABELS = ("account", "network", "printer")


@pytest.fixture
def trained(tmp_path):
    """A labelled file and the folder of a model that was trained on it, with seed 7."""
    source = TaskSource(str(tmp_path / "labels.csv"))
    write_csv(tmp_path / "labels.csv", rows(60, 1))
    task = source.load(None, 7)
    record = {"task_source": vars(source), "task_fingerprint": task.fingerprint, "settings": {"seed": 7}}
    claim(tmp_path / "model", record, resume=False)
    return tmp_path / "model", source, task


def named(examples, labels):
    return [(text, labels[label]) for text, label in zip(examples.texts, examples.labels, strict=True)]


def test_the_source_of_the_training_gives_its_held_out_part_alone(trained):
    model, source, task = trained
    found = examples_to_evaluate(model, task.labels, source, None)
    assert named(found, task.labels) == named(task.test, task.labels)
    assert len(found) == 12 and not set(found.texts) & set(task.train.texts)
    other_seed = load_task(source.source, seed=8)
    assert set(found.texts) != set(other_seed.test.texts), "the seed of the training decides"


def test_the_source_is_recognised_from_another_folder(trained, monkeypatch):
    model, _, task = trained
    monkeypatch.chdir(model.parent)
    assert examples_to_evaluate(model, task.labels, TaskSource("labels.csv"), None).texts == task.test.texts


def test_a_file_of_its_own_is_taken_whole(trained, tmp_path):
    model, _, task = trained
    write_csv(tmp_path / "more.csv", rows(18, 2))
    assert len(examples_to_evaluate(model, task.labels, TaskSource(str(tmp_path / "more.csv")), None)) == 18


def test_labels_get_the_positions_that_the_model_gives_them(trained, tmp_path):
    model, source, task = trained
    turned = tuple(reversed(task.labels))
    found = examples_to_evaluate(model, turned, source, None)
    assert named(found, turned) == named(task.test, task.labels)


def test_a_folder_gives_its_test_part(trained, tmp_path):
    model, _, task = trained
    (tmp_path / "parts").mkdir()
    write_csv(tmp_path / "parts" / "train.csv", rows(30, 4))
    write_csv(tmp_path / "parts" / "test.csv", rows(9, 5))
    found = examples_to_evaluate(model, task.labels, TaskSource(str(tmp_path / "parts")), None)
    assert named(found, task.labels) == rows(9, 5)


def test_a_label_that_the_model_does_not_know_is_named(trained, tmp_path):
    model, source, _ = trained
    with pytest.raises(InputError, match="does not know the label 'printer'"):
        examples_to_evaluate(model, ("account", "network"), source, None)


def test_a_source_that_changed_since_training_is_refused(trained, tmp_path):
    model, source, task = trained
    write_csv(tmp_path / "labels.csv", [*rows(60, 1), ("one more", "printer")])
    with pytest.raises(InputError, match=r"labels\.csv has changed since .*model was trained on it"):
        examples_to_evaluate(model, task.labels, source, None)


class Says:
    """A committee whose members say what they are told to."""

    def __init__(self, votes, vote="probability"):
        self._votes, self.vote = np.array(votes), vote

    def votes(self, texts):
        return self._votes[:, : len(texts)]


def test_the_vote_its_members_and_smaller_committees_are_measured():
    votes = [[[0.9, 0.1], [0.6, 0.4]], [[0.8, 0.2], [0.1, 0.9]], [[0.4, 0.6], [0.4, 0.6]]]
    measured = evaluate_committee(Says(votes), Examples(("a", "b"), np.array([0, 1])))
    assert measured.members == (0.5, 1.0, 0.5)
    assert measured.committee.accuracy == 1.0 and measured.committee.n == 2
    assert [size.size for size in measured.sizes] == [1, 2, 3]
    assert measured.sizes[0].mean == pytest.approx(2 / 3) and measured.sizes[2].mean == 1.0
    assert measured.disagreement > 0


def test_the_vote_of_the_committee_is_the_one_measured():
    # One member is sure; the average of logits follows it, that of probabilities does not.
    votes = [[[0.0001, 0.9999]], [[0.8, 0.2]], [[0.8, 0.2]]]
    examples = Examples(("a",), np.array([1]))
    assert evaluate_committee(Says(votes, "logit"), examples).committee.accuracy == 1.0
    assert evaluate_committee(Says(votes, "probability"), examples).committee.accuracy == 0.0


def test_a_text_is_judged_by_those_who_may_judge_it():
    sure, unsure, against = [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]
    votes = [[unsure, sure, sure], [against, against, sure], [against, sure, against]]
    judges = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]], dtype=bool)
    validation = Validation(Examples(("a", "b", "c"), np.zeros(3, np.int64)), judges)
    assert validation.predictions(Says(votes)).tolist() == [1, 1, 0]


def test_the_vote_that_judges_is_that_of_the_committee():
    votes = [[[0.0001, 0.9999]], [[0.8, 0.2]], [[0.8, 0.2]]]
    validation = Validation(Examples(("a",), np.array([1])), np.ones((3, 1), dtype=bool))
    assert validation.predictions(Says(votes, "logit")).tolist() == [1]
    assert validation.predictions(Says(votes, "probability")).tolist() == [0]


def test_all_members_judge_labelled_text_that_is_named(trained, tmp_path):
    model, _, task = trained
    write_csv(tmp_path / "more.csv", rows(18, 2))
    (tmp_path / "parts").mkdir()
    write_csv(tmp_path / "parts" / "train.csv", rows(30, 4))
    write_csv(tmp_path / "parts" / "test.csv", rows(9, 5))
    for name, count in (("more.csv", 18), ("parts", 3)):
        validation = open_validation(model, 2, task.labels, TaskSource(str(tmp_path / name)), None)
        assert validation.judges.shape == (2, count) and validation.judges.all()
    assert {*named(validation.examples, task.labels)} <= {*rows(30, 4)}


def test_what_members_held_out_is_named_as_the_model_names_it(trained):
    model, source, task = trained
    record = {"task_source": vars(source), "task_fingerprint": task.fingerprint}
    claim(model.with_name("other"), {**record, "settings": {"seed": 7, "validation_fraction": 0.2}}, resume=False)
    straight, turned = (
        open_validation(model.with_name("other"), 3, labels, None, None)
        for labels in (task.labels, tuple(reversed(task.labels)))
    )
    assert named(straight.examples, task.labels) == named(turned.examples, tuple(reversed(task.labels)))
    assert straight.judges.any(axis=0).all() and straight.judges.sum(axis=1).tolist() == [9, 9, 9]
    assert {*named(straight.examples, task.labels)} <= {*named(task.train, task.labels)}
