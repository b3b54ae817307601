"""A text of several windows has the mean of what members say of these, and n-grams count in all of them."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from voters import LABELS, torch_votes, write_voters

from tinylm.committee.files import COMMITTEE, member_names, read_committee, write_committee
from tinylm.committee.mixing import NgramVote
from tinylm.committee.voting import Voting, vote
from tinylm.core.errors import InputError
from tinylm.model.checkpoint import load_classifier
from tinylm.model.config import ModelConfig
from tinylm.runtime.artefact import ARTEFACT
from tinylm.runtime.loading import load
from tinylm.steps.export import export
from tinylm.text.splits import Examples, Task
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.windows import most_windows
from tinylm.train import ngrams
from tinylm.train.classification import text_logits
from tinylm.train.ngram_features import NgramFeatures

MOST_WINDOWS = most_windows("windows")
NGRAM_VOTE = NgramVote(C=1.0, temperature=0.3, weight=0.4)
SHAPE = ModelConfig(vocab_size=100, hidden_size=16, heads=2, intermediate_size=32, positions=32)


@pytest.fixture(scope="module")
def task(documents):
    texts = tuple(" ".join(documents[number : number + 1 + number % 9]) for number in range(60))
    nothing = Examples((), np.zeros(0, np.int64))
    return Task("long", LABELS, Examples(texts, np.arange(60) % 3), nothing, "")


@pytest.fixture(scope="module")
def folder(tokenizer, task, tmp_path_factory):
    """Two members of one vocabulary, and n-grams that were fitted to whole texts."""
    folder = write_voters(tmp_path_factory.mktemp("committee"), [(tokenizer, {}), (tokenizer, {"layers": 2})])
    ngrams.fit_ngram_classifier(SHAPE, tokenizer, task, NGRAM_VOTE, 0, "windows").save(folder)
    write_committee(folder, member_names(2), LABELS, Voting("probability", 1.3, NGRAM_VOTE.weight), "windows")
    return folder


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory):
    artefact = tmp_path_factory.mktemp("exported") / "artefact"
    export(folder, artefact)
    return artefact


@pytest.fixture(params=["checkpoint", "artefact"])
def whole(request, folder, exported):
    return load(folder if request.param == "checkpoint" else exported)


@pytest.fixture(scope="module")
def texts(task, documents):
    return ["", *(text[:14] for text in documents[:5]), *task.train.texts[:30], "zzz " * 400]


def test_each_member_says_the_mean_of_its_windows(whole, folder, tokenizer, texts):
    parts = EncodedTexts(texts, tokenizer, 32, MOST_WINDOWS)
    assert parts.windows.max() > 10 and (parts.windows == 1).sum() > 3
    found = whole.predict_batch(texts)
    for index, name in enumerate(read_committee(folder).members):
        model = load_classifier(folder / name)[0].eval()
        with torch.inference_mode():
            expected = text_logits(model, parts).double().softmax(1).numpy()
            windows = [model(torch.from_numpy(parts.fetch(np.array([number]))), None) for number in range(len(parts))]
        np.testing.assert_allclose(found.votes[index], expected, atol=1e-5)
        by_window = np.concatenate([logits.double().softmax(1).numpy() for logits in windows])
        of_last = by_window[-parts.windows[-1] :].mean(0)
        np.testing.assert_allclose(found.votes[index, -1], of_last, atol=1e-5)
        # What stands further back is heard.
        assert np.abs(found.votes[index] - torch_votes(folder, texts)[index]).max() > 0.01


def test_ngrams_of_the_whole_text_count(whole, tokenizer, task, texts):
    learnt, asked = (EncodedTexts(given, tokenizer, 32, MOST_WINDOWS) for given in (task.train.texts, texts))
    features = NgramFeatures.of(learnt, tokenizer.vocab_size, 3)
    matrix = features.matrix(features.count(learnt), "sublinear")
    assert matrix.shape[0] == len(task.train)
    weights, bias = ngrams._fit(matrix, task.train.labels, 3, NGRAM_VOTE, 0)
    scores = (features.matrix(features.count(asked), "sublinear") @ weights.T + bias) / NGRAM_VOTE.temperature
    expected = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    found = whole.predict_batch(texts)
    np.testing.assert_allclose(found.ngrams, expected, atol=1e-5)
    np.testing.assert_allclose(found.probabilities, vote(found.votes, whole.voting, expected), atol=1e-5)


def test_texts_that_fit_have_the_answers_of_truncation_to_the_last_bit(folder, exported, texts, tmp_path):
    short = [text for text in texts if len(text) < 29]
    assert len(short) > 2
    shutil.copytree(folder, tmp_path / "model")
    stored = read_committee(folder)
    write_committee(tmp_path / "model", stored.members, stored.labels, stored.voting, "truncate")
    shutil.copytree(exported, tmp_path / "artefact")
    said = json.loads((exported / ARTEFACT).read_text())
    (tmp_path / "artefact" / ARTEFACT).write_text(json.dumps(said | {"long": "truncate"}))
    for windows, cut in ((load(folder), load(tmp_path / "model")), (load(exported), load(tmp_path / "artefact"))):
        np.testing.assert_array_equal(windows.predict_proba(short), cut.predict_proba(short))
        # Alone, since products of matrices of another size may round otherwise.
        for text in short:
            np.testing.assert_array_equal(windows.predict_proba(text), cut.predict_proba(text))
        assert np.abs(windows.predict_proba(texts) - cut.predict_proba(texts)).max() > 0.05
        assert cut.predict_batch(texts).truncated.tolist() == (windows.predict_batch(texts).tokens > 32).tolist()


def test_a_long_text_has_the_same_answer_alone_and_among_others(whole, texts):
    together = whole.predict_batch(texts)
    for index in (3, 17, len(texts) - 1):
        np.testing.assert_allclose(whole.predict_proba(texts[index]), together.probabilities[index], atol=1e-5)
    shuffled = np.random.default_rng(0).permutation(len(texts))
    again = whole.predict_proba([texts[index] for index in shuffled])
    np.testing.assert_allclose(again, together.probabilities[shuffled], atol=1e-5)


def test_no_more_of_a_text_is_read_than_a_server_can_bear(whole, tokenizer):
    word = "a"
    most = MOST_WINDOWS * 30
    found = whole.predict_batch([" ".join([word] * count) for count in (most, most + 1, 50 * most)])
    assert found.tokens.tolist() == [MOST_WINDOWS * 32] * 3
    assert found.truncated.tolist() == [False, True, True]
    np.testing.assert_array_equal(found.probabilities[1], found.probabilities[2])
    assert whole.not_read(2, 3).startswith("2 of 3 texts are longer than 2,048 tokens; what follows is not read: ")


def test_words_of_all_windows_are_weighed(whole, texts):
    longest = max(texts[:-1], key=len)
    explanation = whole.explain(longest)
    assert sum(word.weight for word in explanation.words) + explanation.special == pytest.approx(1, abs=1e-5)
    assert [longest[word.start : word.end] for word in explanation.words] == re.findall(r"\w+|[^\w\s]", longest)
    np.testing.assert_allclose(explanation.predictions.probabilities[0], whole.predict_proba(longest), atol=1e-5)


def test_vocabularies_that_part_a_text_otherwise_have_as_many_windows(tokenizer, documents, texts, tmp_path):
    from tinylm.tokens.vocabulary import train_tokenizer

    coarse = train_tokenizer(documents, 70)
    members = [(tokenizer, {}), (coarse, {}), (tokenizer, {"positions": 16})]
    folder = write_voters(tmp_path / "mixed", members)
    write_committee(folder, member_names(3), LABELS, Voting(), "windows")
    export(folder, tmp_path / "artefact")
    mixed, graph = load(folder), load(tmp_path / "artefact")
    np.testing.assert_allclose(mixed.votes(texts), graph.votes(texts), atol=1e-5)
    # Those of fewest positions read as they would alone.
    alone = write_voters(tmp_path / "alone", [members[2]] * 3)
    write_committee(alone, member_names(3), LABELS, Voting(), "windows")
    np.testing.assert_allclose(mixed.votes(texts)[2], load(alone).votes(texts)[2], atol=1e-5)


def test_what_was_written_before_reads_the_beginning(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    said = json.loads((folder / COMMITTEE).read_text())
    assert said.pop("long") == "windows"
    (tmp_path / "model" / COMMITTEE).write_text(json.dumps(said))
    assert load(tmp_path / "model").long == "truncate"
    (tmp_path / "model" / COMMITTEE).write_text(json.dumps(said | {"long": "pages"}))
    with pytest.raises(InputError, match="does not describe a committee"):
        load(tmp_path / "model")
