"""Weights of labels and rows equal scikit-learn's, and reach the loss, the n-gram classifier and what is searched."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.svm import LinearSVC
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from torch.nn import functional

from tinylm.committee.calibration import fit_temperature
from tinylm.committee.mixing import NGRAM_FITS, NgramFit, choose_mix
from tinylm.core.errors import InputError
from tinylm.text.splits import Examples, Task
from tinylm.tokens.encoded import EncodedTexts
from tinylm.train import ngrams
from tinylm.train.classification import ClassificationData
from tinylm.train.ngram_features import NgramFeatures
from tinylm.train.objectives.classification import ClassPrediction
from tinylm.train.settings import FinetuneSettings
from tinylm.train.weights import parse_class_weight, weights_of, with_sample_weight

LABELS = np.array([0] * 50 + [1] * 9 + [2])
NAMES = ("many", "few", "one")
GIVEN = np.random.default_rng(0).uniform(0, 3, len(LABELS))


def task_of(weights=None, texts=None):
    examples = Examples(texts or tuple(f"t {i}" for i in range(len(LABELS))), LABELS, weights)
    return Task("labels.csv", NAMES, examples, examples.take(np.arange(3)), "")


@pytest.mark.parametrize("given", [None, GIVEN], ids=["alike", "sample_weight"])
@pytest.mark.parametrize("class_weight", ["balanced", {"one": 7.0, "few": 0.5}, None], ids=str)
def test_weights_are_those_of_scikit_learn(given, class_weight):
    weights = weights_of(task_of(given), class_weight)
    if given is None and class_weight is None:
        assert weights is None
        return
    theirs = class_weight
    if isinstance(class_weight, dict):
        theirs = {index: class_weight.get(name, 1.0) for index, name in enumerate(NAMES)}
    of_classes = compute_class_weight(theirs, classes=np.arange(3), y=LABELS, sample_weight=given)
    of_rows = of_classes[LABELS] * (1 if given is None else given)
    np.testing.assert_allclose(weights.of_rows, of_rows / of_rows.mean(), rtol=1e-12)
    np.testing.assert_allclose(weights.of_labels / weights.of_labels[0], of_classes / of_classes[0], rtol=1e-12)
    if given is None and class_weight == "balanced":
        np.testing.assert_allclose(weights.of_rows, compute_sample_weight("balanced", LABELS), rtol=1e-12)


def test_loss_is_the_weighted_mean_over_the_texts_that_are_trained_on():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(LABELS), 3, generator=generator)
    part = np.flatnonzero(np.arange(len(LABELS)) % 3 != 0)
    data = ClassificationData(None, LABELS, part, weights_of(task_of(GIVEN), "balanced").of_rows)
    every = np.arange(len(part))
    (weights,) = data.weights_of(every).values()
    loss = ClassPrediction("classification").term(logits[part], data.targets_of(every), weights) / len(part)
    of_classes = compute_class_weight("balanced", classes=np.arange(3), y=LABELS, sample_weight=GIVEN)
    theirs = torch.tensor(of_classes[LABELS[part]] * GIVEN[part])
    each = functional.cross_entropy(logits[part], torch.tensor(LABELS[part]), reduction="none")
    assert loss.item() == pytest.approx(((each * theirs).sum() / theirs.sum()).item(), rel=1e-6)


def test_loss_with_weights_of_one_is_the_loss_without():
    logits, targets = torch.randn(8, 3), torch.arange(8) % 3
    objective = ClassPrediction("classification", label_smoothing=0.1)
    torch.testing.assert_close(objective.term(logits, targets, torch.ones(8)), objective.term(logits, targets))


@pytest.mark.parametrize("weights", [GIVEN, None], ids=["sample_weight", "alike"])
def test_ngram_classifier_is_scikit_learns_with_the_same_weights(tokenizer, words, weights):
    generator = np.random.default_rng(2)
    texts = tuple(" ".join(generator.choice(words, 6)) for _ in LABELS)
    task = task_of(weights, texts)
    found = weights_of(task, "balanced")
    sequences = EncodedTexts(texts, tokenizer, 32)
    features = NgramFeatures.of(sequences, tokenizer.vocab_size, 3)
    matrix = features.matrix(features.count(sequences), "sublinear")
    how, weighed = NgramFit("sublinear", False, 1.0), ngrams._weighed(found, np.arange(len(LABELS)))
    ours, bias = ngrams._fit(matrix, LABELS, 3, how, 0, weighed)
    order = int(ngrams.numpy_generator(0, "n-gram classifier").integers(2**31))
    given = None if weights is None else weights / weights.mean()
    machine = LinearSVC(C=1.0, dual=True, max_iter=10, random_state=order, class_weight="balanced")
    machine.fit(matrix, LABELS, sample_weight=given)
    np.testing.assert_allclose(ours, machine.coef_, atol=1e-9)
    np.testing.assert_allclose(bias, machine.intercept_, atol=1e-9)
    unweighted, _ = ngrams._fit(matrix, LABELS, 3, how, 0)
    assert not np.allclose(ours, unweighted)
    by_ratio = how._replace(log_count_ratio=True)
    weighted, _ = ngrams._fit(matrix, LABELS, 3, by_ratio, 0, weighed)
    assert not np.allclose(weighted, ngrams._fit(matrix, LABELS, 3, by_ratio, 0)[0])


def test_whole_weights_count_in_log_count_ratios_as_repeated_texts_do():
    generator = np.random.default_rng(5)
    matrix, present = generator.random((30, 12)) * (generator.random((30, 12)) < 0.3), generator.random(30) < 0.4
    times = generator.integers(1, 4, 30)
    every = np.repeat(np.arange(30), times)
    np.testing.assert_allclose(
        ngrams._Ratios.of(sparse.csr_matrix(matrix), times.astype(float)).log_count_ratio(present),
        ngrams._Ratios.of(sparse.csr_matrix(matrix[every]), None).log_count_ratio(present[every]),
    )


def test_what_is_chosen_with_whole_weights_is_chosen_with_repeated_texts():
    generator = np.random.default_rng(3)
    predictions = generator.dirichlet(np.ones(3), size=(4, 90))
    labels, times = generator.integers(0, 3, 90), generator.integers(1, 4, 90)
    scores = generator.normal(size=(len(NGRAM_FITS), 90, 3))
    weighted = choose_mix(predictions, labels, 2, ngram_scores=scores, weights=times.astype(float))
    every = np.repeat(np.arange(90), times)
    repeated = choose_mix(predictions[:, every], labels[every], 2, ngram_scores=scores[:, every])
    assert weighted.default_loss == pytest.approx(repeated.default_loss)
    assert fit_temperature(scores[0], labels, times) == pytest.approx(fit_temperature(scores[0, every], labels[every]))
    assert choose_mix(predictions, labels, 2, ngram_scores=scores, weights=np.ones(90)) == choose_mix(
        predictions, labels, 2, ngram_scores=scores
    )


def test_class_weights_are_read_as_they_are_written(tmp_path):
    (tmp_path / "w.toml").write_text('urgent = 5\n"a b" = 0.5\n')
    (tmp_path / "w.json").write_text('{"urgent": 5, "a b": 0.5}')
    table = {"urgent": 5.0, "a b": 0.5}
    for words in (["urgent=5", "a b=0.5"], [str(tmp_path / "w.toml")], [str(tmp_path / "w.json")]):
        assert parse_class_weight(words) == table
        assert FinetuneSettings(class_weight=tuple(words)).class_weight == table
    assert FinetuneSettings(class_weight={"urgent": 5, "a b": 0.5}).class_weight == table
    assert FinetuneSettings(class_weight="balanced").class_weight == "balanced"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("heavy", "class_weight 'heavy' is none"),
        (("a=1", "a=2"), "the label 'a' two weights"),
        ({"a": -1}, "class_weight of 'a' is -1"),
        ({"a": "x"}, "class_weight of 'a' is 'x'"),
        ({}, "empty table"),
        ("none.toml", "none.toml cannot be read"),
    ],
)
def test_class_weights_that_are_none_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        FinetuneSettings(class_weight=given)


def test_weights_that_do_not_fit_the_task_are_refused():
    with pytest.raises(InputError, match=r"has the label 'other', which labels\.csv does not; it has many, few, one"):
        weights_of(task_of(), {"other": 2.0})
    with pytest.raises(InputError, match="the weight 0 in every row; give"):
        weights_of(task_of(np.zeros(len(LABELS))), None)
    with pytest.raises(InputError, match="the weight 0 in every row of 'one', which then cannot be balanced"):
        weights_of(task_of(np.where(LABELS == 2, 0.0, 1.0)), "balanced")


def test_sample_weight_is_that_of_the_rows():
    task = task_of()
    weighted = with_sample_weight(task, GIVEN)
    np.testing.assert_array_equal(weights_of(weighted, None).of_rows, GIVEN / GIVEN.mean())
    assert weighted.fingerprint != with_sample_weight(task, np.ones(len(LABELS))).fingerprint
    with pytest.raises(InputError, match=r"has shape \(3,\), and labels\.csv has 60 rows"):
        with_sample_weight(task, [1, 2, 3])
    for wrong in ([-1.0] * 60, [float("nan")] * 60, ["x"] * 60):
        with pytest.raises(InputError, match="sample_weight holds"):
            with_sample_weight(task, wrong)
