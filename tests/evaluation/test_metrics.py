import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from tinylm.core.errors import InputError
from tinylm.evaluation.metrics import Confusion, accuracy_interval, evaluate, expected_calibration_error


def random_task(texts, classes, seed):
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.full(classes, 0.4), size=texts), generator.integers(classes, size=texts)


def naive_calibration_error(probabilities, labels, bins=15):
    total = 0.0
    for m in range(1, bins + 1):
        inside = []
        for row, label in zip(probabilities, labels, strict=True):
            confidence = max(row)
            if (m - 1) / bins < confidence <= m / bins:
                inside.append((confidence, float(np.argmax(row) == label)))
        if inside:
            confidence, accuracy = np.mean(inside, axis=0)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_calibration_error_agrees_with_its_definition(texts, classes, seed):
    probabilities, labels = random_task(texts, classes, seed)
    expected = naive_calibration_error(probabilities, labels)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_calibration_error_of_certain_predictions():
    assert expected_calibration_error([[1.0, 0.0]], [0]) == 0
    assert expected_calibration_error([[1.0, 0.0], [1.0, 0.0]], [0, 1]) == 0.5


def test_calibration_error_puts_a_confidence_on_an_edge_in_the_bin_below():
    # 0.6 = 9/15 falls among (8/15, 9/15], so the two errors of opposite sign do not share a bin.
    probabilities, labels = [[0.6, 0.4], [0.61, 0.39]], [0, 1]
    assert expected_calibration_error(probabilities, labels) == pytest.approx((0.4 + 0.61) / 2)


def test_evaluation_agrees_with_scikit_learn():
    probabilities, labels = random_task(300, 4, seed=0)
    predicted = probabilities.argmax(-1)
    result = evaluate(probabilities, labels)
    assert result.n == 300
    assert result.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert result.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    mistakes = confusion_matrix(labels, predicted)
    np.fill_diagonal(mistakes, 0)
    assert [pair.count for pair in result.worst_pairs] == sorted(mistakes.ravel(), reverse=True)[:5]
    assert all(mistakes[pair.true, pair.predicted] == pair.count for pair in result.worst_pairs)


def test_interval_is_wilsons():
    # Wilson 1927 by hand: 8 right of 10, z = 1.959964.
    probabilities = np.eye(2)[[0] * 10]
    low, high = evaluate(probabilities, [0] * 8 + [1] * 2).interval
    assert (low, high) == pytest.approx((0.490162, 0.943318), abs=1e-6)


def test_evaluation_of_a_faultless_classifier_has_no_confusions():
    result = evaluate(np.eye(3), [0, 1, 2])
    assert result.accuracy == result.interval[1] == result.macro_f1 == 1
    assert result.worst_pairs == ()


def test_evaluation_worst_pairs_are_ordered_by_count():
    probabilities = np.eye(3)[[1, 1, 1, 2, 0]]
    result = evaluate(probabilities, [0, 0, 1, 0, 0])
    assert result.worst_pairs == (Confusion(0, 1, 2), Confusion(0, 2, 1))


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [([[0.5, 0.5]], [0, 1]), ([], []), ([0.5, 0.5], [0, 1]), ([[0.5, 0.5]], [2]), ([[0.5, 0.5]], [-1])],
    ids=["lengths differ", "empty", "one axis", "label too large", "label negative"],
)
def test_evaluation_refuses_what_does_not_match(probabilities, labels):
    with pytest.raises(InputError):
        evaluate(probabilities, labels)


@given(st.integers(1, 500), st.data())
def test_interval_is_that_of_scipy(n, data):
    right = data.draw(st.integers(0, n))
    expected = binomtest(right, n).proportion_ci(confidence_level=0.95, method="wilson")
    assert accuracy_interval(right, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_macro_f1_is_that_of_scikit_learn(texts, classes, seed):
    probabilities, labels = random_task(texts, classes, seed)
    expected = f1_score(labels, probabilities.argmax(1), average="macro")
    assert evaluate(probabilities, labels).macro_f1 == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_measures_of_each_class_are_those_of_a_classification_report(seed):
    from sklearn.metrics import classification_report

    generator = np.random.default_rng(seed)
    # A class that no text has, and one that none is given.
    labels, probabilities = generator.integers(0, 4, 60), generator.dirichlet(np.ones(6), 60)
    probabilities[:, 2] = 0
    report = classification_report(labels, probabilities.argmax(1), labels=range(6), output_dict=True, zero_division=0)
    for index, of_class in enumerate(evaluate(probabilities, labels).by_class):
        theirs = report[str(index)]
        assert (of_class.precision, of_class.recall, of_class.f1, of_class.n) == pytest.approx(
            (theirs["precision"], theirs["recall"], theirs["f1-score"], theirs["support"])
        )
