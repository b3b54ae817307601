"""The linear n-gram classifier: its features are tf-idf, and its plain arrays compute what it was fitted to be."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import safetensors.numpy
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC
from voters import write_member

from tinylm.committee.mixing import NgramVote
from tinylm.committee.voting import Voting
from tinylm.core.errors import InputError
from tinylm.core.progress import Silent
from tinylm.exporting.graph import build_graph
from tinylm.model.config import ModelConfig
from tinylm.model.ngrams import NGRAMS, NgramClassifier
from tinylm.model.operations import TokenBatch
from tinylm.runtime.backends import NumpyBackend, OnnxBackend
from tinylm.runtime.fold import fold_member
from tinylm.text.splits import Examples, Task
from tinylm.tokens.characters import character_ngrams
from tinylm.tokens.encoded import EncodedTexts
from tinylm.train import ngram_features, ngrams
from tinylm.train.ngram_features import NgramFeatures

VOTE = NgramVote(C=1.0, temperature=0.3, weight=0.4)
SHARED = Voting(ngram_weight=0.4)
SHAPE = ModelConfig(vocab_size=100, hidden_size=16, heads=2, intermediate_size=32, positions=32)


@pytest.fixture(scope="module")
def member(tokenizer, tmp_path_factory):
    return write_member(tmp_path_factory.mktemp("member"), tokenizer, 0)


def task_of(documents, classes=3):
    labels = np.arange(len(documents)) % classes
    # What a text of a class has that no other has is the order of two words alone.
    marks = ("ab cd ef", "ef ab cd", "cd ef ab")
    texts = tuple(f"{marks[label]} {text[:40]}" for text, label in zip(documents, labels, strict=True))
    empty = Examples((), np.zeros(0, np.int64))
    return Task("marks", ("a", "b", "c")[:classes], Examples(texts, labels), empty, "")


@pytest.fixture(scope="module")
def task(documents):
    return task_of(documents[:150])


@pytest.fixture(scope="module")
def fitted(task, tokenizer):
    return ngrams.fit_ngram_classifier(SHAPE, tokenizer, task, VOTE, 0, "truncate")


def batch_of(texts, tokenizer, length=32):
    sequences = EncodedTexts(texts, tokenizer, length)
    ids = sequences.fetch(np.arange(len(texts)))
    return TokenBatch(ids, (np.arange(ids.shape[1]) < sequences.lengths[:, None]).astype(np.int64))


def backends(member, fitted, precision="float32", voting=SHARED):
    folded = [fold_member(member)]
    graph = build_graph(folded, voting, precision, fitted)
    onnx.checker.check_model(graph, full_check=False)
    return NumpyBackend(folded, voting, 1, fitted), OnnxBackend(graph.SerializeToString(), 1, 1)


def test_features_are_tfidf_where_no_ngram_is_repeated(tokenizer):
    texts = ["a b c", "b c d", "c d a", "b c", "a b d"]
    sequences = EncodedTexts(texts, tokenizer, 32)
    features = NgramFeatures.of(sequences, tokenizer.vocab_size, 2)
    counts = features.count(sequences)
    ours = features.matrix(counts, "sublinear").toarray()
    np.testing.assert_array_equal(features.matrix(counts, "binary").toarray(), ours)
    framed = [f"CLS {text} SEP" for text in texts]
    counted = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", lowercase=False, norm=None)
    theirs = counted.fit_transform(framed).toarray()
    names = counted.get_feature_names_out().tolist()
    twice = [name for name in names if " " in name and np.count_nonzero(theirs[:, names.index(name)]) > 1]
    kept = theirs[:, [names.index(name) for name in ("a", "b", "c", "d", *twice)]]
    kept /= np.linalg.norm(kept, axis=1, keepdims=True)
    assert (len(features.unigrams), len(features.bigrams)) == (4, len(twice))
    np.testing.assert_allclose(np.sort(ours, axis=1), np.sort(kept, axis=1), atol=1e-12)
    np.testing.assert_allclose(ours @ ours.T, kept @ kept.T, atol=1e-12)


def test_what_recurs_in_a_window_counts_by_its_logarithm(tokenizer):
    features = NgramFeatures.of(EncodedTexts(["a b c", "c b a"], tokenizer, 32), tokenizer.vocab_size, 2)
    assert (len(features.unigrams), len(features.bigrams)) == (3, 0)
    for text, tf in (("a b b", [1, 1 + np.log(2), 0]), ("c " * 20, [0, 0, 1 + np.log(20)]), ("", [0, 0, 0])):
        row = features.matrix(features.count(EncodedTexts([text], tokenizer, 32)), "sublinear").toarray()[0]
        expected = tf * features.idf / np.sqrt(np.dot(tf, features.idf**2) + 1e-12)
        np.testing.assert_allclose(row, expected, atol=1e-12)
    two_windows = features.count(EncodedTexts(["a " * 45], tokenizer, 32, 2))
    for how, frequency in (("sublinear", 2 + np.log(22) + np.log(23)), ("binary", 2)):
        assert features.matrix(two_windows, how).sum() == pytest.approx(np.sqrt(frequency))


def test_files_of_plain_counts_count_plainly(member, fitted, tokenizer, tmp_path):
    fitted.save(tmp_path)
    stored = safetensors.numpy.load_file(tmp_path / NGRAMS)
    del stored["share_of_tf"]
    stored |= {f"{order}.idf": stored.pop(f"{order}.norms") for order in ("unigrams", "bigrams")}
    safetensors.numpy.save_file(stored, tmp_path / NGRAMS)
    token = int(fitted.unigrams.codes[np.abs(fitted.unigrams.weights[1:]).max(1).argmax()])
    batches = [TokenBatch(ids, np.ones_like(ids)) for ids in (np.full((1, 1), token), np.full((1, 3), token))]
    for read, times in ((NgramClassifier.load(tmp_path, 3), 3), (fitted, 1 + np.log(3))):
        for backend in backends(member, read):
            once, often = (backend.forward([batch]).ngram_sums.scores for batch in batches)
            assert np.abs(once).max() > 0.1
            np.testing.assert_allclose(often, times * once, rtol=1e-4)


def test_many_classes_leave_out_the_rarest_ngrams(documents, tokenizer, monkeypatch):
    sequences = EncodedTexts(documents[:100], tokenizer, 32)
    every = NgramFeatures.of(sequences, tokenizer.vocab_size, 2)
    monkeypatch.setattr(ngram_features, "_MOST_WEIGHTS", 1000)
    for classes, most in ((10, 100), (200, 5), (5000, 1)):
        fewer = NgramFeatures.of(sequences, tokenizer.vocab_size, classes)
        assert len(fewer.idf) == len(fewer.unigrams) + len(fewer.bigrams) == most
        assert set(fewer.unigrams) <= set(every.unigrams) and set(fewer.bigrams) <= set(every.bigrams)
        assert not len(fewer.bigrams) or len(fewer.unigrams) == len(every.unigrams)
    counts = np.bincount(sequences.fetch(np.arange(100))[:, 1:-1].ravel(), minlength=tokenizer.vocab_size)
    counts[[tokenizer.pad_id, tokenizer.sep_id]] = 0
    assert fewer.unigrams == [counts.argmax()]


def test_characters_of_unseen_tokens_count_as_much_as_tokens(tokenizer):
    texts = ["adgb fghj", "fghj jagf adgb", "eeej eeej fghja"]
    sequences, characters = EncodedTexts(texts, tokenizer, 32), character_ngrams(tokenizer)
    plain = NgramFeatures.of(sequences, tokenizer.vocab_size, 2)
    features = NgramFeatures.of(sequences, tokenizer.vocab_size, 2, characters)
    with_characters = np.flatnonzero(characters.getnnz(axis=1))
    np.testing.assert_array_equal(features.unigrams, np.union1d(plain.unigrams, with_characters))
    assert len(features.unigrams) > len(plain.unigrams)
    seen = features.idf > 0
    np.testing.assert_array_equal(features.idf[seen], plain.idf)
    tf = features.count(sequences).tf("sublinear")
    of_characters = (tf @ features.characters).toarray()
    # The reference: tf-idf of each character n-gram of the text's tokens, as scikit-learn counts them.
    of_unigrams = tf[:, : len(features.unigrams)]
    pieces = [tokenizer.text_of_piece(i) for i in features.unigrams]
    counted = CountVectorizer(analyzer="char", ngram_range=(2, 5), lowercase=False)
    counted.fit([pieces[column] for column in of_unigrams.indices])
    theirs = (of_unigrams @ counted.transform(pieces)).toarray()
    idf = np.log(4 / (1 + np.count_nonzero(theirs, axis=0))) + 1
    share = np.unique(np.round(np.sort(of_characters, axis=1) / np.maximum(np.sort(theirs * idf, axis=1), 1e-9), 9))
    assert share[0] == 0 and len(share) == 2, "but for one factor they are alike"
    # That factor makes both kinds equal in sum.
    squares = np.asarray(features.characters.power(2).sum(axis=1)).ravel()
    assert (tf @ squares).sum() == pytest.approx((tf @ features.idf**2).sum())


@pytest.mark.parametrize("characters", [False, True])
@pytest.mark.parametrize("tf", ["sublinear", "binary"])
@pytest.mark.parametrize("log_count_ratio", [False, True])
def test_arrays_and_graph_compute_what_was_fitted(task, member, tokenizer, tf, characters, log_count_ratio):
    vote = replace(VOTE, tf=tf, characters=characters, log_count_ratio=log_count_ratio)
    fitted = ngrams.fit_ngram_classifier(SHAPE, tokenizer, task, vote, 0, "truncate")
    texts = [*task.train.texts[:40], "", "a a a a", "zzz", "red blue " * 40]
    sequences = EncodedTexts(texts, tokenizer, 32)
    learnt = EncodedTexts(task.train.texts, tokenizer, 32)
    known = character_ngrams(tokenizer) if characters else None
    features = NgramFeatures.of(learnt, tokenizer.vocab_size, 3, known)
    weights, bias = ngrams._fit(features.matrix(features.count(learnt), tf), task.train.labels, 3, vote, 0)
    scores = (features.matrix(features.count(sequences), tf) @ weights.T + bias) / VOTE.temperature
    expected = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert expected.std() > 0.1
    for backend in backends(member, fitted):
        found = backend.forward([batch_of(texts, tokenizer)])
        np.testing.assert_allclose(found.ngrams, expected, atol=1e-5)
        np.testing.assert_allclose(found.probabilities, 0.6 * found.votes[:, 0] + 0.4 * found.ngrams, atol=1e-6)


def test_log_count_ratios_are_those_of_naive_bayes():
    generator = np.random.default_rng(0)
    counts = sparse.csr_matrix(generator.poisson(0.4, (60, 25)))
    present = generator.random(60) < 0.3
    bayes = MultinomialNB(alpha=1.0).fit(counts > 0, present)
    expected = bayes.feature_log_prob_[1] - bayes.feature_log_prob_[0]
    np.testing.assert_allclose(ngrams._Ratios.of(counts, None).log_count_ratio(present), expected)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("several", [False, True])
def test_machines_see_features_by_their_log_count_ratios(task, tokenizer, several):
    sequences = EncodedTexts(task.train.texts, tokenizer, 32)
    features = NgramFeatures.of(sequences, tokenizer.vocab_size, 3)
    matrix, of_classes = features.matrix(features.count(sequences), "sublinear"), np.eye(3, dtype=np.int64)
    labels = of_classes[task.train.labels] if several else task.train.labels
    weights, bias = ngrams._fit(matrix, labels, 3, replace(VOTE, log_count_ratio=True), 0)
    order = int(ngrams.numpy_generator(0, "n-gram classifier").integers(2**31))
    for label in range(3):
        present = task.train.labels == label
        ratios = np.abs(ngrams._Ratios.of(matrix, None).log_count_ratio(present))
        scaled = matrix.toarray() * (ratios + ratios.mean()) / 2
        scaled /= np.sqrt((scaled**2).sum() / matrix.power(2).sum())
        machine = LinearSVC(C=VOTE.C, max_iter=10, random_state=order).fit(sparse.csr_matrix(scaled), present)
        np.testing.assert_allclose(matrix @ weights[label] + bias[label], machine.decision_function(scaled), atol=1e-9)


@pytest.mark.parametrize("how", ["probability", "logit"])
def test_arrays_and_graph_vote_alike(task, member, fitted, tokenizer, how):
    plain, graph = backends(member, fitted, voting=Voting(how, 1.7, 0.4))
    rows = [batch_of(task.train.texts[:20], tokenizer)]
    np.testing.assert_allclose(graph.forward(rows).probabilities, plain.forward(rows).probabilities, atol=1e-5)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_quantized_weights_stay_near(task, member, fitted, tokenizer, precision):
    plain, graph = backends(member, fitted, precision)
    rows = [batch_of(task.train.texts, tokenizer)]
    np.testing.assert_allclose(graph.forward(rows).ngrams, plain.forward(rows).ngrams, atol=0.02)


def test_order_of_neighbours_is_learnt(task, member, fitted, tokenizer):
    predicted = backends(member, fitted)[0].forward([batch_of(task.train.texts, tokenizer, 32)]).ngrams.argmax(1)
    assert np.mean(predicted == task.train.labels) > 0.95


def test_held_out_texts_are_scored_and_not_learnt(task, tokenizer):
    held_out = np.arange(len(task.train)) % 5 == 0
    scores = ngrams.score_held_out(SHAPE, tokenizer, task, held_out, 0, "truncate", Silent())
    assert scores.shape == (len(ngrams.NGRAM_FITS), 30, 3)
    wrong = task.train.labels.copy()
    wrong[held_out] = (wrong[held_out] + 1) % 3
    other = Task(task.name, task.labels, Examples(task.train.texts, wrong), task.test, "")
    np.testing.assert_array_equal(
        scores, ngrams.score_held_out(SHAPE, tokenizer, other, held_out, 0, "truncate", Silent())
    )


def test_what_would_take_too_long_is_left_out(task, tokenizer, monkeypatch):
    held_out = np.arange(len(task.train)) % 5 == 0
    every = ngrams.score_held_out(SHAPE, tokenizer, task, held_out, 0, "truncate", Silent())
    monkeypatch.setattr(ngrams, "_MOST_OF_CHARACTERS", 1000)
    fewer = ngrams.score_held_out(SHAPE, tokenizer, task, held_out, 0, "truncate", Silent())
    for fit, before, now in zip(ngrams.NGRAM_FITS, every, fewer, strict=True):
        np.testing.assert_array_equal(now, 0 if fit.characters else before)


def test_a_class_without_examples_is_improbable(task, tokenizer):
    held_out = (np.arange(len(task.train)) % 5 == 0) | (task.train.labels == 2)
    scores = ngrams.score_held_out(SHAPE, tokenizer, task, held_out, 0, "truncate", Silent())
    assert (scores[..., 2] == -1).all()


@pytest.mark.parametrize("log_count_ratio", [False, True])
def test_two_classes_and_texts_without_a_word(member, documents, tokenizer, log_count_ratio):
    how = replace(VOTE, log_count_ratio=log_count_ratio)
    two = ngrams.fit_ngram_classifier(SHAPE, tokenizer, task_of(documents[:60], 2), how, 0, "truncate")
    np.testing.assert_allclose(two.bias[0], -two.bias[1], atol=0.05 if log_count_ratio else 1e-7)
    nothing = Task("x", ("a", "b"), Examples(("", "", "", ""), np.array([0, 1, 0, 1])), task_of([]).test, "")
    silent = ngrams.fit_ngram_classifier(SHAPE, tokenizer, nothing, how, 0, "truncate")
    for classifier in (two, silent):
        assert np.isfinite(classifier.bias).all()
        # The member has three classes, and what it says is not looked at.
        found = NumpyBackend([fold_member(member)], Voting("probability"), 1, None).forward(
            [batch_of(["", "red"], tokenizer)]
        )
        assert found.ngrams is None and len(classifier.bias) == 2


def test_what_is_stored_is_read_as_it_was(fitted, tmp_path):
    fitted.save(tmp_path)
    read = NgramClassifier.load(tmp_path, 3)
    for order in ("unigrams", "bigrams"):
        for name, array in vars(getattr(fitted, order)).items():
            np.testing.assert_array_equal(getattr(getattr(read, order), name), array)
    np.testing.assert_array_equal(read.bias, fitted.bias)
    np.testing.assert_array_equal(read.share_of_tf, fitted.share_of_tf)
    assert (read.vocab_size, [path.name for path in tmp_path.iterdir()]) == (fitted.vocab_size, [NGRAMS])


def test_what_cannot_be_read_is_refused_with_its_name(fitted, tmp_path):
    with pytest.raises(InputError, match=f"{NGRAMS} cannot be read"):
        NgramClassifier.load(tmp_path, 3)
    fitted.save(tmp_path)
    with pytest.raises(InputError, match=f"{NGRAMS} does not fit the 4 labels of its committee"):
        NgramClassifier.load(tmp_path, 4)
    (tmp_path / NGRAMS).write_bytes(b"no tensors")
    with pytest.raises(InputError, match="cannot be read"):
        NgramClassifier.load(tmp_path, 3)
