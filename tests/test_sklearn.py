"""The estimators keep scikit-learn's conventions, and work in what takes estimators."""

import numpy as np
import pytest
from cli_fixtures import rows
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

from tinylm.model.checkpoint import save_model
from tinylm.model.config import ModelConfig
from tinylm.model.heads import MaskedLanguageModel, initialise
from tinylm.sklearn import TinyLMClassifier, TinyLMEncoder
from tinylm.tokens.vocabulary import train_tokenizer

TEXTS, LABELS = map(list, zip(*rows(60, 1), strict=True))
QUICK = {"steps": 3, "search": False, "precision": "float32", "random_state": 0}


def written_as_text(X):  # noqa: N803
    """Rows of numbers as texts: `c0 3 c1 -1`."""
    return [" ".join(f"c{column} {value:.1f}" for column, value in enumerate(row)) for row in np.asarray(X)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Two members of width 16, as if pre-trained."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer([*TEXTS, *written_as_text(np.random.default_rng(0).normal(size=(200, 4)))], 200)
    shape = ModelConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=16, layers=1, heads=2, intermediate_size=32, positions=32
    )
    for index in range(2):
        model = MaskedLanguageModel(shape)
        initialise(model, index)
        (folder / f"member-{index}").mkdir()
        save_model(folder / f"member-{index}", model, tokenizer)
    return folder


class NumbersClassifier(TinyLMClassifier):
    """Takes what scikit-learn's checks give: rows of numbers."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = True, False, False
        tags.classifier_tags.poor_score = True  # after three updates
        return tags

    def fit(self, X, y):  # noqa: N803
        X, y = validate_data(self, X, y)  # noqa: N806
        return super().fit(written_as_text(X), y)

    def predict_proba(self, X):  # noqa: N803
        return super().predict_proba(written_as_text(validate_data(self, X, reset=False)))


class NumbersEncoder(TinyLMEncoder):
    """The same."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = True, False, False
        return tags

    def fit(self, X, y=None):  # noqa: N803
        validate_data(self, X)
        return super().fit(X, y)

    def transform(self, X):  # noqa: N803
        return super().transform(written_as_text(validate_data(self, X, reset=False)))


def ran(estimator, expected_failed):
    """Names of the checks that passed, and those that failed with what they said."""
    results = check_estimator(estimator, expected_failed_checks=expected_failed, on_fail=None, on_skip=None)
    passed = {result["check_name"] for result in results if result["status"] == "passed"}
    failed = {result["check_name"]: str(result["exception"]) for result in results if result["status"] == "failed"}
    xfailed = {result["check_name"] for result in results if result["status"] == "xfail"}
    return passed, failed, xfailed


def test_checks_of_the_classifier(base):
    estimator = NumbersClassifier(base, members=1, **QUICK)
    expected: dict[str, str] = {}
    passed, failed, xfailed = ran(estimator, expected)
    assert (failed, xfailed) == ({}, set(expected)) and len(passed) >= 40


def test_checks_of_the_encoder(base):
    passed, failed, xfailed = ran(NumbersEncoder(base), {})
    assert (failed, xfailed) == ({}, set()) and len(passed) >= 40
