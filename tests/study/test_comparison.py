"""Is pre-training worth it? The rows, and what they are made of."""

import json

import pytest
from cli_fixtures import write_help_desk

import tinylm
from tinylm.committee.files import SEARCH
from tinylm.core.progress import Silent
from tinylm.evaluation.committees import evaluate_committee
from tinylm.runtime.loading import open_checkpoint
from tinylm.steps.base import open_base
from tinylm.study.comparison import RESULTS, compare
from tinylm.text.sources import load_task
from tinylm.train.settings import FinetuneSettings

SETTINGS = FinetuneSettings(steps=3, precision="float32")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    write_help_desk(folder)
    base = tinylm.pretrain(
        folder / "notes.txt", output=folder / "base", members=2, preset="bert-1-w128", steps=3, precision="float32"
    )
    task = load_task(folder / "labels.csv")
    committee = tinylm.finetune(base, task, output=folder / "model", settings=SETTINGS)
    measured = evaluate_committee(committee, task.test)
    again = [folder / "model", base, measured, task, SETTINGS, "probability", Silent()]
    return again, compare(*again)


def test_compare_gives_each_model_a_row_with_an_interval_around_it(compared):
    _, rows = compared
    assert [row.name for row in rows] == [
        "tf-idf + linear SVM",
        "from scratch, one member",
        "from scratch, committee of 2",
        "pre-trained, one member",
        "pre-trained, committee of 2",
        "pre-trained, committee of 2 and n-grams",
    ]
    assert all(row.low <= row.accuracy <= row.high for row in rows)
    assert rows[0].accuracy > 0.8, "the topics have words of their own"


def test_compare_stores_the_rows(compared):
    (folder, *_), rows = compared
    kept = json.loads((folder / RESULTS).read_text())
    assert (kept["test"], kept["rows"]) == (12, [vars(row) for row in rows])


def test_compare_takes_over_what_was_measured_of_the_committee(compared):
    (_, _, measured, *_), rows = compared
    assert rows[-1].accuracy == measured.committee.accuracy
    assert rows[-2].accuracy == measured.members_alone
    assert rows[-3].accuracy == pytest.approx(sum(measured.members) / 2)


def test_compare_gives_members_from_scratch_shape_and_vocabulary_but_no_weights(compared):
    (folder, base, *_), _ = compared
    scratch, finetuned = open_checkpoint(folder / "scratch"), open_checkpoint(folder)
    for ours, theirs in zip(scratch.members, finetuned.members, strict=True):
        assert (
            ours.token_embeddings.shape == theirs.token_embeddings.shape
            and ours.position_embeddings.shape == theirs.position_embeddings.shape
        )
        assert ours.tokenizer.fingerprint == theirs.tokenizer.fingerprint
        assert not (ours.token_embeddings == theirs.token_embeddings).all()
        assert ours.config.bigrams == theirs.config.bigrams
    assert not (folder / "scratch" / SEARCH).exists(), "they are of the kinds that were found already"
    assert len(open_base(base.folder).members) == 2


def test_compare_run_again_trains_nothing(compared):
    arguments, rows = compared
    weights = arguments[0] / "scratch/member-0/model.safetensors"
    before = weights.stat().st_mtime_ns
    again = compare(*arguments)
    assert [(row.name, row.accuracy) for row in again] == [(row.name, row.accuracy) for row in rows]
    assert weights.stat().st_mtime_ns == before
