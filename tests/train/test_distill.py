"""Distillation: a member learns to answer as its teacher does, from the texts that are not held out, to the end."""

import json
import re

import numpy as np
import pytest
import torch
from vocabularies import sequences

from tinylm.core.errors import InputError, InterruptedByUserError
from tinylm.model.checkpoint import load_classifier, save_model
from tinylm.model.heads import SequenceClassifier, initialise
from tinylm.runtime.loading import load
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.loading import load_tokenizer
from tinylm.train import classification
from tinylm.train.distill import distill_member
from tinylm.train.settings import DistillSettings
from tinylm.train.trainer import Trainer

LABELS = ("early", "middle", "late")


@pytest.fixture(scope="module")
def taught(documents, words):
    """What the teacher says of texts: in which third of the circle they begin, and of the last it is less sure."""
    rows = np.array([[0.9, 0.08, 0.02], [0.05, 0.9, 0.05], [0.1, 0.3, 0.6]], np.float32)

    def answers(texts) -> np.ndarray:
        return rows[[3 * words.index(text.split()[0]) // len(words) for text in texts]]

    return answers


@pytest.fixture(scope="module")
def start(shape, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    model = SequenceClassifier(shape(), 3)
    initialise(model, 5)
    save_model(folder, model, tokenizer, LABELS)
    return folder


@pytest.fixture
def distill(start, taught, documents, alone, listener):
    """Teaches a tiny member; returns what was said."""

    def run(folder, texts=None, answers=None, *, interrupt_at=None, **settings):
        texts = documents[:400] if texts is None else texts
        heard = listener(interrupt_at)
        chosen = DistillSettings(**({"steps": 60, "batch_size": 16, "precision": "float32"} | settings))
        answers = taught(texts) if answers is None else answers
        encoded = EncodedTexts(texts, load_tokenizer(start), 16)
        distill_member(folder, 0, start, encoded, answers, chosen, alone, heard)
        return heard.said

    return run


def validation(folder):
    return json.loads((folder / "training.json").read_text())["validation"]


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_it_learns_to_answer_alike(distill, start, taught, documents, metrics, tmp_path):
    (said,) = distill(tmp_path / "model", steps=200, learning_rate=0.01, word_dropout=0.2)
    unseen = documents[400:]
    answers = taught(unseen)
    before, after = (load(folder).predict_proba(unseen) for folder in (start, tmp_path / "model"))
    assert np.mean(before.argmax(1) == answers.argmax(1)) < 0.6
    assert np.mean(after.argmax(1) == answers.argmax(1)) > 0.9
    for row in np.unique(answers, axis=0):
        np.testing.assert_allclose(after[(answers == row).all(1)].mean(0), row, atol=0.15)
    first, *_, last = [line["validation"] for line in metrics(tmp_path / "model") if "validation" in line]
    assert first["accuracy"] + 0.3 < last["accuracy"] and last == validation(tmp_path / "model")
    found = re.search(r"200 updates in .* agreement with the committee's members on 40 unseen texts ([\d.]+) %", said)
    assert float(found[1]) == pytest.approx(100 * last["accuracy"], abs=0.05)


def test_two_halves_are_the_whole(distill, metrics, tmp_path):
    options = {"dropout": 0.2, "gradient_accumulation_steps": 2, "learning_rate": 0.01}
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    distill(whole, **options)
    with pytest.raises(InterruptedByUserError, match="interrupted after update 25; everything so far is saved in"):
        distill(halves, interrupt_at=25, **options)
    assert not halves.exists()
    distill(halves, **options)
    assert weights(halves) == weights(whole)
    assert metrics(halves) == metrics(whole)
    assert len(metrics(whole)) == 11 + 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["halves", "whole"]


def test_it_goes_on_from_the_member_that_is_given_and_keeps_its_labels_and_vocabulary(distill, start, tmp_path):
    distill(tmp_path / "model", steps=1, learning_rate=1e-30)
    (before, _), (after, labels) = (load_classifier(folder) for folder in (start, tmp_path / "model"))
    assert labels == LABELS
    assert after.config == before.config
    found = after.state_dict()
    assert all(torch.allclose(tensor, found[name], rtol=0, atol=1e-20) for name, tensor in before.state_dict().items())
    text = "eehi ajfd unknown"
    assert sequences(load_tokenizer(tmp_path / "model"), [text], 16) == sequences(load_tokenizer(start), [text], 16)


def test_a_held_out_text_is_measured_on_and_not_trained_on(distill, taught, words, tmp_path):
    texts = [words[0], words[-1]]
    given = taught(texts)
    variants = {"both": given}
    for index in range(2):
        variants[f"{index}"] = given.copy()
        variants[f"{index}"][index] = given[index][::-1]
    for name, answers in variants.items():
        distill(tmp_path / name, texts, answers, steps=3, learning_rate=0.01)
    same = [weights(tmp_path / f"{index}") == weights(tmp_path / "both") for index in range(2)]
    assert sorted(same) == [False, True]
    held = same.index(True)
    assert validation(tmp_path / f"{held}") != validation(tmp_path / "both")


def test_of_long_texts_it_reads_windows_anywhere(start, words, alone, listener, tmp_path):
    """What tells two kinds of text apart stands beyond what a sequence holds."""
    generator = np.random.default_rng(0)
    kinds, tokenizer = generator.integers(0, 2, 200), load_tokenizer(start)
    texts = [" ".join([*generator.choice(words[:40], 14), *[words[-1 - kind]] * 28]) for kind in kinds]
    answers = np.where(kinds[:, None] == 0, [[0.9, 0.05, 0.05]], [[0.05, 0.9, 0.05]]).astype(np.float32)
    settings = DistillSettings(steps=100, batch_size=16, precision="float32", learning_rate=0.01, word_dropout=0.1)
    agreement = []
    for windows in (1, 4):
        folder, encoded = tmp_path / str(windows), EncodedTexts(texts, tokenizer, 16, windows)
        distill_member(folder, 0, start, encoded, answers, settings, alone, listener())
        agreement.append(validation(folder)["accuracy"])
    assert agreement[0] < 0.8 and agreement[1] > 0.95


@pytest.mark.parametrize(("count", "held"), [(40, 4), (3, 1), (2, 1)])
def test_a_tenth_of_the_texts_is_held_out_and_both_parts_have_some(distill, documents, tmp_path, count, held):
    (said,) = distill(tmp_path / "model", documents[:count], steps=1)
    assert f"on {held} unseen texts" in said


def test_fewer_than_two_texts_are_too_few(distill, documents, tmp_path):
    with pytest.raises(
        InputError, match=r"the corpus has 1 document\(s\), and 2 are needed to train and validate; give more"
    ):
        distill(tmp_path / "model", documents[:1])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("asked", "steps"), [({}, 3000), ({"epochs": 2}, 46), ({"steps": 7}, 7), ({"budget": "1m"}, None)]
)
def test_it_takes_3000_updates_where_nothing_else_is_asked(distill, tmp_path, monkeypatch, asked, steps):
    found = []

    class Asked(Trainer):
        def run(self):
            found.append(self.clock.steps)
            raise InterruptedByUserError

    monkeypatch.setattr(classification, "Trainer", Asked)
    with pytest.raises(InterruptedByUserError):
        distill(tmp_path / "model", **({"steps": None} | asked))
    assert found == [steps]
