"""A head on frozen vectors: an ordinary member, which says what scikit-learn's logistic regression says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cli_fixtures import call, contents, rows, write_csv
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tinylm
from tinylm.committee.voting import Voting
from tinylm.core.errors import InputError
from tinylm.core.seeds import member_seed
from tinylm.model.checkpoint import load_classifier, save_model
from tinylm.model.config import ModelConfig
from tinylm.model.heads import MaskedLanguageModel
from tinylm.model.layout import read_config
from tinylm.runtime.loading import load_encoder
from tinylm.text.memory import task_in_memory
from tinylm.text.splits import held_out_rows
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.vocabulary import train_tokenizer
from tinylm.train.classification import class_logits
from tinylm.train.frozen import PENALTIES, FrozenHead, predict_held_out_by_heads
from tinylm.train.settings import FinetuneSettings

TEXTS, LABELS = map(list, zip(*rows(90, 1), strict=True))
NEW = [text for text, _ in rows(30, 2)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer(TEXTS, 200)
    for index in range(2):
        shape = ModelConfig(
            vocab_size=tokenizer.vocab_size, hidden_size=32, layers=1, heads=2, intermediate_size=64, positions=32
        )
        model = MaskedLanguageModel(shape)
        generator = torch.Generator().manual_seed(index)
        with torch.no_grad():
            # Large enough for texts to differ in their vectors, as those of a base that has been trained do.
            for parameter in model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.7)
        (folder / f"member-{index}").mkdir()
        save_model(folder / f"member-{index}", model, tokenizer)
    return folder


@pytest.mark.parametrize("classes", [2, 3])
def test_it_says_what_scikit_learn_says_of_the_vectors_of_the_base(base, tmp_path, classes):
    labels = [label if classes == 3 else str(label == "printer") for label in LABELS]
    committee = tinylm.finetune(base, texts=TEXTS, labels=labels, head="frozen", output=tmp_path / "model")
    task = task_in_memory(TEXTS, labels)
    votes = committee.votes(NEW)
    for index in range(2):
        seen = task.train.take(np.flatnonzero(~held_out_rows(task.train, 0.1, member_seed(0, index))))
        encoder = load_encoder(base / f"member-{index}")
        vectors = encoder.encode(seen.texts)
        penalty = FrozenHead.fit(vectors, seen, classes, member_seed(0, index)).penalty
        regression = LogisticRegression(C=penalty, max_iter=200)
        expected = make_pipeline(StandardScaler(), regression).fit(vectors.astype(np.float64), seen.labels)
        np.testing.assert_allclose(votes[index], expected.predict_proba(encoder.encode(NEW)), atol=1e-4)
    assert np.mean(np.array(committee.predict(TEXTS)) == labels) > 0.6


def test_tanh_and_quantities_around_it_cost_nothing(base, tmp_path):
    committee = tinylm.finetune(base, texts=TEXTS, labels=LABELS, head="frozen", output=tmp_path / "model")
    task = task_in_memory(TEXTS, LABELS)
    tinylm.export(tmp_path / "model", tmp_path / "small")
    exported = tinylm.load(tmp_path / "small").votes(NEW)
    for index in range(2):
        seed = member_seed(0, index)
        seen = task.train.take(np.flatnonzero(~held_out_rows(task.train, 0.1, seed)))
        encoder = load_encoder(base / f"member-{index}")
        head = FrozenHead.fit(encoder.encode(seen.texts), seen, 3, seed)
        logits = ((encoder.encode(NEW) - head.mean) / head.scale).astype(np.float64) @ head.weight.T + head.bias
        expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        folder = tmp_path / f"model/member-{index}"
        model = load_classifier(folder)[0].eval()
        with torch.inference_mode():
            by_torch = class_logits(model, EncodedTexts(NEW, load_tokenizer(folder), 32)).softmax(1).numpy()
        for found in (committee.votes(NEW)[index], exported[index], by_torch):
            np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(committee.encode(NEW), load_encoder(base).encode(NEW))


def test_it_repeats_resumes_and_is_another_run_than_fine_tuning(base, tmp_path):
    write_csv(tmp_path / "labels.csv", rows(90, 1))
    arguments = ("finetune", base, "--task", tmp_path / "labels.csv", "--head", "frozen", "-o", tmp_path / "model")
    ran = call(*arguments)
    assert ran.code == 0 and "member 1: a head on frozen vectors, inverse penalty" in ran.err
    before = contents(tmp_path / "model")
    assert call(*arguments, "--resume").code == 0 and contents(tmp_path / "model") == before
    tinylm.finetune(base, tmp_path / "labels.csv", head="frozen", output=tmp_path / "again")
    assert (tmp_path / "again/member-1/model.safetensors").read_bytes() == before["member-1/model.safetensors"]
    with pytest.raises(InputError, match="model was started otherwise: head was 'frozen' and is now None"):
        tinylm.finetune(base, tmp_path / "labels.csv", output=tmp_path / "model", resume=True)
    assert (
        call("export", tmp_path / "model", "-o", tmp_path / "small", "--int8", "--max-accuracy-drop", "100").code == 0
    )


def test_ngrams_vote_with_frozen_heads_by_what_both_say_of_held_out_labels(base, tmp_path, heard):
    given = {"texts": TEXTS, "labels": LABELS, "head": "frozen"}
    committee = tinylm.finetune(base, **given, output=tmp_path / "model", progress=heard)
    assert committee.voting.ngram_weight > 0
    assert any(line.endswith(f" has {committee.voting.ngram_weight:.0%} of the vote") for line in heard.lines)
    alone = tinylm.finetune(base, **given, search=False, output=tmp_path / "alone")
    assert alone.voting == Voting()
    np.testing.assert_array_equal(committee.votes(NEW), alone.votes(NEW))
    names = {label: row for row, label in enumerate(committee.labels)}
    truth = np.array([names[label] for _, label in rows(30, 2)])
    chosen, by_heads = (np.array([[names[x] for x in model.predict(NEW)]]) for model in (committee, alone))
    assert (chosen == truth).mean() > (by_heads == truth).mean()
    tinylm.export(tmp_path / "model", tmp_path / "small")
    np.testing.assert_allclose(
        tinylm.load(tmp_path / "small").predict_proba(NEW), committee.predict_proba(NEW), atol=1e-5
    )


def test_what_is_predicted_of_held_out_texts_does_not_know_their_labels(base):
    task = task_in_memory(TEXTS, LABELS)
    held_out = held_out_rows(task.train, 0.2, 0)
    members = [base / "member-0", base / "member-1"]
    votes = predict_held_out_by_heads(members, task, [held_out, held_out], FinetuneSettings())
    others = task.train.labels.copy()
    others[held_out] = others[held_out][::-1]
    changed = replace(task, train=replace(task.train, labels=others))
    np.testing.assert_array_equal(
        predict_held_out_by_heads(members, changed, [held_out], FinetuneSettings()), votes[:, : held_out.sum()]
    )
    assert votes.shape == (2, 2 * held_out.sum(), 3) and np.allclose(votes.sum(-1), 1)


def test_two_texts_a_label_are_enough(base):
    committee = tinylm.finetune(
        base, texts=["red apple", "cold rain", "red plum", "cold snow"], labels=["a", "b"] * 2, head="frozen"
    )
    assert committee.predict(["red apple", "cold rain"]) == ["a", "b"]


def test_a_setting_that_it_does_not_know_is_refused(base):
    with pytest.raises(
        InputError, match="a frozen head has no other settings than seed, search, validation_fraction and long"
    ):
        tinylm.finetune(base, texts=TEXTS, labels=LABELS, head="frozen", epochs=3)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"sample_weight": [1] * 89 + [2]}, "a frozen head knows no weights of texts; leave them out, or fine-tune"),
        ({"labels": [[label] for label in LABELS]}, "a frozen head gives one; leave head out"),
    ],
)
def test_labels_that_it_cannot_learn_are_refused_and_nothing_is_written(base, tmp_path, given, complaint):
    with pytest.raises(InputError, match=complaint):
        tinylm.finetune(base, **{"texts": TEXTS, "labels": LABELS, **given}, head="frozen", output=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_it_needs_a_base(base):
    with pytest.raises(InputError, match="a frozen head is fitted to pre-trained members; give the folder of a base"):
        tinylm.finetune(start_from=base, texts=TEXTS, labels=LABELS, head="frozen")


def test_the_penalty_is_chosen_by_what_is_held_out():
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 2
    texts = [f"{label} {number}" for number, label in enumerate(labels)]
    examples = task_in_memory(texts, labels).train
    noise = generator.normal(size=(60, 40)).astype(np.float32)
    signal = noise + 3 * labels[:, None].astype(np.float32)
    chosen = [FrozenHead.fit(vectors, examples, 2, 0).penalty for vectors in (noise, signal)]
    assert chosen[0] < chosen[1] <= PENALTIES[-1]


def test_members_from_scratch_that_it_is_compared_with_differ_as_usual(base, tmp_path):
    write_csv(tmp_path / "labels.csv", rows(90, 1))
    arguments = ("finetune", base, "--task", tmp_path / "labels.csv", "--head", "frozen", "-o", tmp_path / "model")
    assert call(*arguments, "--compare").code == 0
    kinds = [read_config(tmp_path / "model" / "scratch" / f"member-{index}")[0].bigrams for index in range(2)]
    assert kinds[0] and not kinds[1]
