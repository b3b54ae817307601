"""Out-of-fold evaluation: texts are classified by members that did not train on them."""

import numpy as np
from cli_fixtures import rows, write_csv
from fixed_votes import FixedVotes
from task_fixtures import named

from tinylm.committee.voting import Voting
from tinylm.core.runs import claim
from tinylm.evaluation.out_of_fold import OutOfFoldExamples, open_out_of_fold
from tinylm.text.sources import TaskSource
from tinylm.text.splits import Examples


def test_out_of_fold_members_alone_classify_a_text():
    sure, unsure, against = [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]
    votes = [[unsure, sure, sure], [against, against, sure], [against, sure, against]]
    out_of_fold = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]], dtype=bool)
    held_out = OutOfFoldExamples(Examples(("a", "b", "c"), np.zeros(3, np.int64)), out_of_fold)
    assert held_out.predictions(FixedVotes(votes)).tolist() == [1, 1, 0]


def test_out_of_fold_uses_the_vote_of_the_committee():
    votes = [[[0.0001, 0.9999]], [[0.8, 0.2]], [[0.8, 0.2]]]
    held_out = OutOfFoldExamples(Examples(("a",), np.array([1])), np.ones((3, 1), dtype=bool))
    assert held_out.predictions(FixedVotes(votes, Voting("logit"))).tolist() == [1]
    assert held_out.predictions(FixedVotes(votes, Voting("probability"))).tolist() == [0]


def test_out_of_fold_labelled_text_of_its_own_is_for_all_members(trained, tmp_path):
    model, _, task = trained
    write_csv(tmp_path / "more.csv", rows(18, 2))
    (tmp_path / "parts").mkdir()
    write_csv(tmp_path / "parts" / "train.csv", rows(30, 4))
    write_csv(tmp_path / "parts" / "test.csv", rows(9, 5))
    for name, count in (("more.csv", 18), ("parts", 3)):
        held_out = open_out_of_fold(model, 2, task.labels, TaskSource(str(tmp_path / name)), None)
        assert held_out.out_of_fold.shape == (2, count) and held_out.out_of_fold.all()
    assert {*named(held_out.examples, task.labels)} <= {*rows(30, 4)}


def test_out_of_fold_labels_are_in_the_order_of_the_model(trained):
    model, source, task = trained
    record = {"task_source": vars(source), "task_fingerprint": task.fingerprint}
    claim(model.with_name("other"), {**record, "settings": {"seed": 7, "validation_fraction": 0.2}}, resume=False)
    straight, turned = (
        open_out_of_fold(model.with_name("other"), 3, labels, None, None)
        for labels in (task.labels, tuple(reversed(task.labels)))
    )
    assert named(straight.examples, task.labels) == named(turned.examples, tuple(reversed(task.labels)))
    assert straight.out_of_fold.any(axis=0).all() and straight.out_of_fold.sum(axis=1).tolist() == [9, 9, 9]
    assert {*named(straight.examples, task.labels)} <= {*named(task.train, task.labels)}
