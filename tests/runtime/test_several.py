"""A committee for several labels a text: NumPy, the graph, torch and `transformers` say the same of each label."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification
from vocabularies import sequences
from voters import LABELS, torch_votes, write_member, write_voters

from tinylm.committee.mixing import NgramVote
from tinylm.committee.voting import Voting, vote
from tinylm.core.errors import InputError
from tinylm.core.problems import SEVERAL_LABELS
from tinylm.core.progress import Silent
from tinylm.exporting.graph import build_graph
from tinylm.model.checkpoint import load_classifier
from tinylm.model.config import ModelConfig
from tinylm.model.operations import TokenBatch
from tinylm.runtime.backends import NumpyBackend, OnnxBackend
from tinylm.runtime.fold import fold_member
from tinylm.runtime.forward import ngram_probabilities
from tinylm.runtime.loading import load
from tinylm.runtime.numpy_backend import NumpyOperations
from tinylm.steps.export import export
from tinylm.text.splits import Examples, Task
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.windows import most_windows
from tinylm.train import ngrams
from tinylm.train.objectives.classification import LabelsPrediction


@pytest.fixture(scope="module")
def thresholds(tokenizer, documents, tmp_path_factory):
    """Some that three texts of ten reach."""
    folder = tmp_path_factory.mktemp("committee")
    members = [(tokenizer, {}), (tokenizer, {"layers": 2})]
    opened = load(write_voters(folder, members, "probability", 0.7, SEVERAL_LABELS))
    return tuple(np.quantile(opened.predict_proba(documents[:60]), 0.7, axis=0).astype(float).tolist())


@pytest.fixture(scope="module")
def committee(tokenizer, thresholds, tmp_path_factory):
    members = [(tokenizer, {}), (tokenizer, {"layers": 2})]
    folder = tmp_path_factory.mktemp("committee")
    return write_voters(folder, members, "probability", 0.7, SEVERAL_LABELS, thresholds)


def test_transformers_computes_the_same_logits_and_loss(tokenizer, tmp_path):
    folder = write_member(tmp_path / "member", tokenizer, 3, problem_type=SEVERAL_LABELS)
    ours, theirs = load_classifier(folder)[0].eval(), AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert ours.problem_type == theirs.config.problem_type == "multi_label_classification"
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, tokenizer.vocab_size, (6, 12), generator=generator)
    labels = torch.randint(0, 2, (6, len(LABELS)), generator=generator).float()
    with torch.inference_mode():
        found, expected = ours(ids, None), theirs(ids, labels=labels)
    torch.testing.assert_close(found, expected.logits, atol=1e-5, rtol=0)
    loss = LabelsPrediction("classification").term(found, labels.long()) / len(labels)
    torch.testing.assert_close(loss, expected.loss, atol=1e-5, rtol=0)


def test_numpy_and_the_graph_say_what_torch_says(committee, thresholds, documents, tmp_path):
    texts, voting = documents[:40], Voting("probability", 0.7, 0.0, SEVERAL_LABELS, thresholds)
    export(committee, tmp_path / "artefact")
    expected = torch_votes(committee, texts)
    assert np.abs(expected.sum(axis=2) - 1).max() > 0.5, "labels must not sum to 1"
    for folder in (committee, tmp_path / "artefact"):
        opened = load(folder)
        assert opened.voting == voting
        np.testing.assert_allclose(opened.votes(texts), expected, atol=1e-5)
        np.testing.assert_allclose(opened.predict_proba(texts), vote(expected, voting), atol=1e-5)
    stored = json.loads((tmp_path / "artefact" / "artefact.json").read_text())
    assert (stored["problem_type"], stored["thresholds"]) == (SEVERAL_LABELS, list(thresholds))
    card = (tmp_path / "artefact" / "README.md").read_text()
    assert "`multi_label_classification`" in card and f"{min(thresholds):.2f} to {max(thresholds):.2f}" in card


def test_a_text_has_the_labels_that_reach_their_thresholds(committee, thresholds, documents):
    opened, texts = load(committee), documents[:60]
    probabilities = opened.predict_proba(texts)
    expected = [
        [LABELS[label] for label in np.argsort(-row, kind="stable") if row[label] >= thresholds[label]]
        for row in probabilities
    ]
    found = opened.predict(texts)
    assert found == expected == list(opened.predict(iter(texts))) and opened.predict(texts[0]) == expected[0]
    assert {len(labels) for labels in found} >= {0, 1, 2}, "some have none, and some several"
    assert [prediction.labels for prediction in opened.predictions(texts)] == expected
    assert opened.predict([]) == []
    assert opened.disagreement(texts).shape == (60,) and opened.explain(texts[0]).predictions.label_sets == expected[:1]
    with pytest.raises(InputError, match="abstain is for one label a text"):
        opened.predict(texts, abstain=0.5)


def test_one_classifier_of_transformers_opens_with_half_as_threshold(tokenizer, documents, tmp_path):
    opened = load(write_member(tmp_path / "member", tokenizer, 3, problem_type=SEVERAL_LABELS))
    found = [set(labels) for labels in opened.predict(documents[:9])]
    rows = opened.predict_proba(documents[:9]) >= 0.5
    assert found == [{LABELS[x] for x in np.flatnonzero(row)} for row in rows]
    config = json.loads((tmp_path / "member" / "config.json").read_text())
    (tmp_path / "member" / "config.json").write_text(json.dumps(config | {"problem_type": "regression"}))
    with pytest.raises(InputError, match="has the problem_type 'regression'"):
        load(tmp_path / "member")


@pytest.mark.parametrize("how", ["probability", "logit"])
def test_ngrams_vote_with_one_machine_a_label(how, tokenizer, documents, tmp_path):
    texts = tuple(f"{'ab cd ' * (n % 2)}{'ef gh ' * (n % 3 == 0)}{text[:30]}" for n, text in enumerate(documents[:90]))
    labels = np.array([[n % 2, n % 3 == 0, 0] for n in range(90)], np.int64)
    task = Task("marks", LABELS, Examples(texts, labels), Examples((), labels[:0]), "")
    shape = ModelConfig(vocab_size=tokenizer.vocab_size, hidden_size=16, heads=2, intermediate_size=32, positions=32)
    fitted = ngrams.fit_ngram_classifier(shape, tokenizer, task, NgramVote(1.0, 0.3, 0.4), 0, "truncate")
    voting = Voting(how, 0.8, 0.4, SEVERAL_LABELS)
    folded = [fold_member(write_member(tmp_path / "member", tokenizer, 0, problem_type=SEVERAL_LABELS))]
    rows = sequences(tokenizer, list(texts[:20]), 32)
    width = max(map(len, rows))
    ids = np.array([[*row, *[0] * (width - len(row))] for row in rows])
    batch = TokenBatch(ids, (np.arange(width) < np.array([[len(row)] for row in rows])).astype(np.int64))
    own, _ = ngram_probabilities(NumpyOperations(), fitted, batch, voting)
    assert ((own[:, :2] > 0.5) == labels[:20, :2]).mean() > 0.95 and own[:, 2].max() < 0.1
    graph = OnnxBackend(build_graph(folded, voting, "float32", fitted).SerializeToString(), 1, 1)
    for backend in (NumpyBackend(folded, voting, 1, fitted), graph):
        found = backend.forward([batch])
        np.testing.assert_allclose(found.ngrams, own, atol=1e-5)
        np.testing.assert_allclose(found.probabilities, vote(found.votes.swapaxes(0, 1), voting, own), atol=1e-5)
    held_out = np.arange(90) % 5 == 0
    scores = ngrams.score_held_out(shape, tokenizer, task, held_out, 0, "truncate", Silent())
    assert (
        scores.shape == (len(ngrams.NGRAM_FITS), 18, 3)
        and ((scores[-1][:, :2] > 0) == labels[held_out][:, :2]).mean() > 0.95
    )


def test_long_texts_are_read_in_windows(tokenizer, documents, tmp_path):
    from tinylm.train.classification import text_logits

    folder = write_voters(tmp_path / "model", [(tokenizer, {})], problem_type=SEVERAL_LABELS)
    stored = json.loads((folder / "committee.json").read_text())
    (folder / "committee.json").write_text(json.dumps(stored | {"long": "windows"}))
    texts = [" ".join(documents[n : n + 6]) for n in range(0, 60, 6)] + documents[:3]
    model = load_classifier(folder / "member-0")[0].eval()
    with torch.inference_mode():
        encoded = EncodedTexts(texts, tokenizer, model.config.positions, most_windows("windows"))
        expected = text_logits(model, encoded).sigmoid().numpy()
    assert encoded.windows.max() > 1
    export(folder, tmp_path / "artefact")
    for opened in (load(folder), load(tmp_path / "artefact")):
        np.testing.assert_allclose(opened.predict_proba(texts), expected, atol=1e-5)
