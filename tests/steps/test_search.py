"""The search before fine-tuning: it looks at training labels alone, is kept, and goes on after an interruption."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_fixtures import rows, write_csv, write_help_desk

import tinylm
from tinylm.committee.mixing import NGRAM_FITS, UNSEARCHED, Mix, NgramVote
from tinylm.committee.voting import PLAIN, Voting, vote
from tinylm.core.errors import InputError, InterruptedByUserError
from tinylm.core.progress import Silent
from tinylm.evaluation.committees import evaluate_committee
from tinylm.model.layout import read_config
from tinylm.model.ngrams import NGRAMS
from tinylm.steps import search
from tinylm.text.sources import load_task
from tinylm.text.splits import Examples, Task
from tinylm.train import candidate, ngrams
from tinylm.train.variants import VARIANTS

SHORT = {"steps": 3, "precision": "float32"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    write_help_desk(folder)
    write_csv(folder / "labels.csv", rows(90, 1))
    tinylm.pretrain(folder / "notes.txt", output=folder / "base", members=2, preset="bert-1-w128", **SHORT)
    return folder


@pytest.fixture
def chosen(monkeypatch):
    """Makes the search choose; returns what it chose from."""
    seen = {}

    def choose(predictions, labels, members, vote, ngram_scores, weights=None):
        seen.update(predictions=predictions, labels=labels, members=members, vote=vote, ngram_scores=ngram_scores)
        ngrams = NgramVote(C=0.3, temperature=0.2, weight=0.35)
        return Mix((3, 0, 0, 1), loss=0.5, default_loss=0.6, temperature=0.7, ngrams=ngrams)

    monkeypatch.setattr(search, "choose_mix", choose)
    return seen


def finetune(desk, output, heard=None, **changes):
    progress = heard or Silent()
    return tinylm.finetune(desk / "base", desk / "labels.csv", output=output, progress=progress, **SHORT | changes)


def test_members_are_of_the_kinds_that_were_chosen_and_their_vote_is_calibrated(desk, tmp_path, chosen, heard):
    committee = finetune(desk, tmp_path / "model", heard)
    assert committee.voting == Voting("probability", 0.7, 0.35)
    trained = [json.loads((tmp_path / f"model/member-{i}/training.json").read_text())["settings"] for i in (0, 1)]
    assert [(s["bigrams"], s["word_dropout"]) for s in trained] == [(False, 0.3), (True, 0.1)]
    assert [bool(read_config(tmp_path / f"model/member-{i}")[0].bigrams) for i in (0, 1)] == [False, True]
    assert any("2 of 4 with bigrams and 10% of words dropped" in line for line in heard.lines)
    assert "a linear n-gram classifier has 35% of the vote" in heard.lines
    assert "calibration: temperature 0.70 for 2 member(s)" in heard.lines
    assert not (tmp_path / "model/candidates").exists()


def test_search_chooses_from_predictions_of_held_out_training_texts(desk, tmp_path, chosen):
    finetune(desk, tmp_path / "model")
    task = load_task(desk / "labels.csv")
    kinds, texts, classes = chosen["predictions"].shape
    assert (kinds, classes, chosen["members"], chosen["vote"]) == (4, len(task.labels), 2, "probability")
    assert len(chosen["labels"]) == texts and candidate.splits_for(len(task.train)) == 3
    np.testing.assert_allclose(chosen["predictions"].sum(axis=2), 1, atol=1e-5)
    assert chosen["ngram_scores"].shape == (len(NGRAM_FITS), texts, classes)
    fifth = candidate.HELD_OUT * len(task.train)
    assert texts == pytest.approx(3 * fifth, rel=0.3)


def test_search_does_not_look_at_the_test_part(desk, tmp_path):
    task = load_task(desk / "labels.csv")
    wrong = Examples(task.test.texts, (task.test.labels + 1) % len(task.labels))
    other = Task(task.name, task.labels, task.train, wrong, task.fingerprint)
    for name, each in (("right", task), ("wrong", other)):
        tinylm.finetune(desk / "base", each, output=tmp_path / name, **SHORT)
    found = [(tmp_path / name / "search.json").read_bytes() for name in ("right", "wrong")]
    assert found[0] == found[1]


def test_search_goes_on_where_it_was_and_is_not_done_again(desk, tmp_path, monkeypatch, chosen):
    made, whole = [], candidate.finetune_member

    def counted(folder, *rest):
        if len(made) == 3:
            raise InterruptedByUserError("interrupted")
        made.append(folder.name)
        whole(folder, *rest)

    monkeypatch.setattr(candidate, "finetune_member", counted)
    with pytest.raises(InterruptedByUserError):
        finetune(desk, tmp_path / "model")
    monkeypatch.setattr(
        candidate, "finetune_member", lambda folder, *rest: (made.append(folder.name), whole(folder, *rest))
    )
    finetune(desk, tmp_path / "model", resume=True)
    assert len(made) == len(set(made)) == 12, "four kinds, three splits, none of them twice"
    finetune(desk, tmp_path / "model", resume=True)
    assert len(made) == 12


def test_too_few_labels_to_choose_by_train_no_candidate(desk, tmp_path, monkeypatch, heard):
    task = load_task(desk / "labels.csv")
    eight_each = [np.flatnonzero(task.train.labels == label)[:8] for label in range(len(task.labels))]
    few = replace(task, train=task.train.take(np.concatenate(eight_each)))
    made, whole = [], candidate.finetune_member
    monkeypatch.setattr(
        candidate, "finetune_member", lambda folder, *rest: (made.append(folder.name), whole(folder, *rest))
    )
    committee = tinylm.finetune(desk / "base", few, output=tmp_path / "model", progress=heard, **SHORT)
    assert not made
    assert committee.voting == Voting("probability", 1.0, UNSEARCHED.weight)
    assert any("held-out labels are too few to choose by, 30 would do" in line for line in heard.lines)
    trained = [json.loads((tmp_path / f"model/member-{i}/training.json").read_text())["settings"] for i in (0, 1)]
    assert [settings["bigrams"] for settings in trained] == [variant.bigrams for variant in VARIANTS[:2]]


@pytest.mark.parametrize("fixed", [{"search": False}, {"bigrams": True}, {"word_dropout": 0.2}], ids=str)
def test_without_a_search_nothing_is_chosen_or_calibrated(desk, tmp_path, fixed):
    committee = finetune(desk, tmp_path / "model", **fixed)
    assert committee.voting == PLAIN
    assert not (tmp_path / "model/search.json").exists()
    assert not (tmp_path / "model" / NGRAMS).exists()


def test_a_committee_with_ngrams_is_exported_copied_and_evaluated(desk, tmp_path, chosen):
    committee = finetune(desk, tmp_path / "model")
    task = load_task(desk / "labels.csv")
    texts = list(task.test.texts)
    found = committee.predict_batch(texts)
    assert found.ngrams is not None and found.ngrams.std() > 0.1
    np.testing.assert_allclose(found.probabilities, vote(found.votes, committee.voting, found.ngrams), atol=1e-6)
    assert next(found.one_by_one()).ngrams == dict(zip(committee.labels, found.ngrams[0].tolist(), strict=True))
    tinylm.export(tmp_path / "model", tmp_path / "artefact")
    exported = tinylm.load(tmp_path / "artefact")
    assert exported.voting == committee.voting
    exported.save(tmp_path / "copied artefact")
    committee.save(tmp_path / "copy")
    for folder in ("artefact", "copied artefact", "copy"):
        again = tinylm.load(tmp_path / folder).predict_batch(texts)
        np.testing.assert_allclose(again.probabilities, found.probabilities, atol=1e-5)
        np.testing.assert_allclose(again.ngrams, found.ngrams, atol=1e-5)
    measured = evaluate_committee(committee, task.test)
    assert measured.ngrams == np.mean(found.ngrams.argmax(1) == task.test.labels)
    assert measured.members_alone == np.mean(vote(found.votes).argmax(1) == task.test.labels)
    assert any("linear n-gram classifier" in line for line in measured.lines())


def test_ngrams_that_are_fitted_are_not_fitted_again(desk, tmp_path, monkeypatch, chosen):
    finetune(desk, tmp_path / "model")
    monkeypatch.setattr(ngrams, "fit_ngram_classifier", None)
    assert finetune(desk, tmp_path / "model", resume=True).voting.ngram_weight == 0.35


def test_a_committee_that_lost_its_ngrams_says_so(desk, tmp_path, chosen):
    finetune(desk, tmp_path / "model")
    (tmp_path / "model" / NGRAMS).unlink()
    with pytest.raises(InputError, match=NGRAMS):
        tinylm.load(tmp_path / "model")


@pytest.mark.parametrize(("texts", "splits"), [(20, 3), (500, 3), (1500, 2), (2500, 1), (100_000, 1)])
def test_few_labels_are_parted_more_often(texts, splits):
    assert candidate.splits_for(texts) == splits
