"""Members vote, are saved and opened again, and answer whatever text there is."""

import itertools
import json
import shutil
import time

import numpy as np
import pytest
import torch

from tinylm import committee as committee_module
from tinylm.committee import COMMITTEE, Committee, Member, load
from tinylm.errors import InputError
from tinylm.model.checkpoint import save_model
from tinylm.model.config import DepthwiseFrontEnd, ModelConfig
from tinylm.model.heads import SequenceClassifier

LABELS = ("one", "two", "three")


@pytest.fixture(scope="module")
def other_tokenizer(documents):
    from tinylm.text.tokenizer import train_tokenizer

    return train_tokenizer(documents, 70)


def member(tokenizer, seed, **changes):
    """A classifier with weights large enough to have opinions."""
    tiny = {"hidden_size": 16, "heads": 2, "intermediate_size": 32, "positions": 32}
    model = SequenceClassifier(ModelConfig(**(tiny | {"vocab_size": tokenizer.vocab_size} | changes)), len(LABELS))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.7)
    return Member(model, tokenizer)


@pytest.fixture
def mixed(tokenizer, other_tokenizer) -> Committee:
    """Members of other shapes, lengths and vocabularies."""
    members = [
        member(tokenizer, 0),
        member(tokenizer, 1, layers=2, positions=16),
        member(other_tokenizer, 2, hidden_size=24, heads=3),
        member(other_tokenizer, 3, front_end=DepthwiseFrontEnd(kernel=3)),
    ]
    return Committee(members, LABELS)


@pytest.fixture
def texts(documents) -> list[str]:
    return documents[:90]


def test_votes_are_probabilities(mixed, texts):
    votes = mixed.votes(texts)
    assert votes.shape == (4, 90, 3)
    assert votes.dtype == np.float64
    assert votes.min() >= 0
    np.testing.assert_allclose(votes.sum(2), 1, atol=1e-12)
    # The members say different things, and of different texts different ones.
    assert np.abs(votes[0] - votes[1]).max() > 0.1
    assert votes.std(1).max(1).min() > 1e-3


def test_a_vote_is_what_the_member_says_of_the_text_alone(mixed, texts):
    votes = mixed.votes(texts)
    for index in (0, 17, 89):
        np.testing.assert_allclose(mixed.votes([texts[index]])[:, 0], votes[:, index], atol=1e-5)
    for index, one in enumerate(mixed.members):
        np.testing.assert_allclose(Committee([one], LABELS).votes(texts)[0], votes[index], atol=1e-6)


def test_the_order_of_the_texts_is_kept(mixed, texts):
    mixture = ["", *texts, "x " * 500, texts[0]]
    assert len({len(text) for text in mixture}) > 10
    shuffle = np.random.default_rng(0).permutation(len(mixture))
    expected = mixed.predict_proba(mixture)[shuffle]
    np.testing.assert_allclose(mixed.predict_proba([mixture[i] for i in shuffle]), expected, atol=1e-5)


def test_probabilities_and_labels_are_the_mean_of_the_votes(mixed, texts):
    mean = mixed.votes(texts).mean(0)
    np.testing.assert_allclose(mixed.predict_proba(texts), mean, atol=1e-12)
    assert mixed.predict(texts) == [LABELS[i] for i in mean.argmax(1)]
    assert len(set(mixed.predict(texts))) > 1


def test_the_vote_can_be_of_logits(mixed, texts):
    geometric = np.exp(np.log(mixed.votes(texts)).mean(0))
    geometric /= geometric.sum(1, keepdims=True)
    found = Committee(mixed.members, LABELS, "logit").predict_proba(texts)
    np.testing.assert_allclose(found, geometric, atol=1e-9)
    assert np.abs(found - mixed.predict_proba(texts)).max() > 0.01


def test_predictions_say_what_the_arrays_say(mixed, texts, monkeypatch):
    monkeypatch.setattr(committee_module, "_CHUNK", 40)
    found = list(mixed.predictions(texts))
    probabilities, doubts = mixed.predict_proba(texts), mixed.disagreement(texts)
    assert [p.label for p in found] == mixed.predict(texts)
    np.testing.assert_allclose([list(p.probabilities.values()) for p in found], probabilities, atol=1e-5)
    np.testing.assert_allclose([p.probability for p in found], probabilities.max(1), atol=1e-5)
    np.testing.assert_allclose([p.disagreement for p in found], doubts, atol=1e-5)
    assert all(list(p.probabilities) == list(LABELS) for p in found)
    assert min(doubts) > 0


def test_a_member_does_not_contradict_itself(tokenizer, texts):
    twice = Committee([member(tokenizer, 0)] * 2, LABELS)
    assert np.abs(twice.disagreement(texts)).max() < 1e-9


def test_predictions_are_a_stream(mixed, texts):
    taken = itertools.count()
    endless = (text for text in itertools.cycle(texts) if next(taken) >= 0)
    stream = mixed.predictions(endless)
    next(stream)
    after_one = next(taken)
    assert 0 < after_one <= 300
    assert len(list(itertools.islice(stream, 300))) == 300
    assert next(taken) > after_one


@pytest.mark.parametrize("empty", [[], (), iter([])])
def test_no_texts(mixed, empty):
    if isinstance(empty, list | tuple):
        assert mixed.votes(empty).shape == (4, 0, 3)
        assert mixed.predict_proba(empty).shape == (0, 3)
        assert mixed.predict(empty) == []
        assert mixed.disagreement(empty).shape == (0,)
    assert list(mixed.predictions(empty)) == []


def test_strange_texts(mixed):
    strange = ["", " ", "\x00", "\ud800", "日本語", "🙂" * 50, "[CLS] [MASK]"]
    votes = mixed.votes(strange)
    assert np.isfinite(votes).all()
    # Nothing to read is nothing to read.
    np.testing.assert_allclose(votes[:, 0], votes[:, 1], atol=1e-6)


def test_one_text_is_no_list(mixed):
    with pytest.raises(InputError, match="votes takes a list of texts; put the one text in a list"):
        mixed.predict("one text")


def test_a_long_text_costs_no_more_than_its_beginning(mixed, words):
    long = " ".join(itertools.islice(itertools.cycle(words), 100_000))
    mixed.votes([long[:200]])
    started = time.perf_counter()
    votes = mixed.votes([long])
    # Encoding all of it would take a second.
    assert time.perf_counter() - started < 0.3
    np.testing.assert_allclose(votes, mixed.votes([long[:1000]]), atol=1e-6)


def test_a_committee_needs_a_member():
    with pytest.raises(InputError, match="a committee needs at least one member"):
        Committee([], LABELS)


# On disk


@pytest.mark.parametrize("vote", ["probability", "logit"])
def test_a_saved_committee_says_the_same(mixed, texts, tmp_path, vote):
    committee = Committee(mixed.members, LABELS, vote)
    committee.save(tmp_path / "new" / "committee")
    opened = load(str(tmp_path / "new" / "committee"))
    assert (len(opened), opened.labels, opened.vote) == (4, LABELS, vote)
    assert np.array_equal(opened.votes(texts), committee.votes(texts))
    assert np.array_equal(opened.predict_proba(texts), committee.predict_proba(texts))


def test_dropout_is_off_in_what_votes(mixed, texts, tmp_path):
    for one in mixed.members:
        one.model.train()
    opened = Committee(mixed.members, LABELS)
    assert not any(one.model.training for one in opened.members)


def test_saving_replaces_a_committee_and_nothing_else(mixed, tokenizer, texts, tmp_path):
    folder = tmp_path / "committee"
    mixed.save(folder)
    smaller = Committee(mixed.members[:1], LABELS)
    smaller.save(folder)
    assert np.array_equal(load(folder).votes(texts), smaller.votes(texts))
    assert sorted(path.name for path in folder.iterdir()) == [COMMITTEE, "member-0"]
    assert [path.name for path in tmp_path.iterdir()] == ["committee"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="photos holds something else; choose a new folder"):
        mixed.save(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_saving_onto_a_file_is_refused(mixed, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        mixed.save(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_save_that_fails_leaves_what_was_there(mixed, texts, tmp_path, monkeypatch):
    folder = tmp_path / "committee"
    smaller = Committee(mixed.members[:1], LABELS)
    smaller.save(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(committee_module, "write_committee", full)
    with pytest.raises(OSError, match="No space"):
        mixed.save(folder)
    assert np.array_equal(load(folder).votes(texts), smaller.votes(texts))
    assert [path.name for path in tmp_path.iterdir()] == ["committee"]


def test_one_classifier_is_a_committee_of_one(mixed, texts, tmp_path):
    one = mixed.members[2]
    save_model(tmp_path, one.model, one.tokenizer, LABELS)
    opened = load(tmp_path)
    assert (len(opened), opened.labels) == (1, LABELS)
    np.testing.assert_array_equal(opened.votes(texts)[0], mixed.votes(texts)[2])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"members": [], "labels": ["one"], "vote": "probability"}',
        '{"members": ["member-0"], "labels": [], "vote": "probability"}',
        '{"members": ["member-0"], "labels": ["one", "two", "three"], "vote": "loudest"}',
        '{"members": ["member-0"], "labels": ["one", "two", "three"]}',
        '{"members": ["member-0"], "labels": ["one", "two", "three"], "vote": ["probability"]}',
        '{"members": "member-0", "labels": ["one", "two", "three"], "vote": "probability"}',
        '{"members": 3, "labels": ["one", "two", "three"], "vote": "probability"}',
        '{"members": [3], "labels": ["one", "two", "three"], "vote": "probability"}',
        '{"members": ["member-0"], "labels": 3, "vote": "probability"}',
    ],
)
def test_a_broken_committee_is_refused(mixed, tmp_path, text):
    mixed.save(tmp_path / "committee")
    (tmp_path / "committee" / COMMITTEE).write_text(text)
    with pytest.raises(InputError, match=r"committee\.json does not describe a committee; train or copy"):
        load(tmp_path / "committee")


def test_members_that_do_not_belong_are_refused(mixed, tmp_path):
    folder = tmp_path / "committee"
    mixed.save(folder)
    stored = json.loads((folder / COMMITTEE).read_text())
    (folder / COMMITTEE).write_text(json.dumps(stored | {"labels": ["three", "two", "one"]}))
    with pytest.raises(InputError, match="member-0 has other labels than its committee"):
        load(folder)
    (folder / COMMITTEE).write_text(json.dumps(stored))
    shutil.rmtree(folder / "member-2")
    with pytest.raises(InputError, match="member-2 is not a model folder"):
        load(folder)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no model at .*nowhere; give the folder that `tinylm train"):
        load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"is not a trained model: it has neither committee\.json nor config\.json"):
        load(tmp_path)


def test_a_member_without_its_vocabulary_is_refused(mixed, tmp_path):
    mixed.save(tmp_path / "committee")
    (tmp_path / "committee" / "member-1" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"member-1 has neither tokenizer\.json nor vocab\.txt"):
        load(tmp_path / "committee")
