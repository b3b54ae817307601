"""The estimators keep scikit-learn's conventions, and work in what takes estimators."""

import gc
import pickle
import shutil

import joblib
import numpy as np
import pandas as pd
import pytest
from cli_fixtures import rows
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

import tinylm
from tinylm.model.checkpoint import save_model
from tinylm.model.config import ModelConfig
from tinylm.model.heads import MaskedLanguageModel, initialise
from tinylm.sklearn import TinyLMClassifier, TinyLMEncoder
from tinylm.steps.base import open_base
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

    def fit(self, X, y, sample_weight=None):  # noqa: N803
        X, y = validate_data(self, X, y, multi_output=True)  # noqa: N806
        return super().fit(written_as_text(X), y, sample_weight)

    def predict_proba(self, X):  # noqa: N803
        return super().predict_proba(written_as_text(validate_data(self, X, reset=False)))


class NumbersEncoder(TinyLMEncoder):
    """The same."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = True, False, False
        return tags

    def fit(self, X=None, y=None):  # noqa: N803
        validate_data(self, X)
        return super().fit(X, y)

    def transform(self, X):  # noqa: N803
        return super().transform(written_as_text(validate_data(self, X, reset=False)))


def passed(estimator, *, may_fail=(), **expected):
    """Names of the checks that passed; none may fail but those that are expected to, with the reason."""
    results = check_estimator(estimator, expected_failed_checks=expected, on_fail=None, on_skip=None)
    results = [r for r in results if r["status"] != "failed" or r["check_name"] not in may_fail]
    assert [r for r in results if r["status"] not in ("passed", "skipped", "xfail")] == []
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == expected.keys()
    return {result["check_name"] for result in results if result["status"] == "passed"}


def test_checks_of_the_classifier(base):
    checks = passed(
        NumbersClassifier(base, members=1, **QUICK | {"steps": 1}),
        check_sample_weight_equivalence_on_dense_data="a text of weight 0 takes its place in a batch, of weight 2 too",
    )
    assert len(checks) >= 50
    assert {"check_class_weight_classifiers", "check_sample_weights_shape"} <= checks
    assert {"check_classifiers_train", "check_estimators_pickle", "check_classifiers_classes"} <= checks


def test_checks_of_the_encoder(base):
    # They want vectors that are equal to 1e-9, and some processors' products depend on the other rows of a batch.
    rounding = {"check_methods_sample_order_invariance", "check_methods_subset_invariance"}
    checks = passed(NumbersEncoder(base), may_fail=rounding)
    assert len(checks) >= 40
    assert {"check_transformer_general", "check_transformers_unfitted", "check_estimators_pickle"} <= checks


def test_the_order_of_texts_changes_no_vector_beyond_rounding(base):
    encoder = TinyLMEncoder(base).fit(TEXTS)
    vectors = encoder.transform(TEXTS)
    np.testing.assert_allclose(encoder.transform(TEXTS[::-1])[::-1], vectors, atol=1e-6)
    np.testing.assert_allclose(encoder.transform(TEXTS[:1]), vectors[:1], atol=1e-6)


@pytest.fixture(scope="module")
def fitted(base):
    return TinyLMClassifier(base, **QUICK).fit(TEXTS, LABELS)


def test_what_is_predicted_is_what_the_committee_says(base, fitted):
    assert fitted.classes_.tolist() == ["account", "network", "printer"]
    np.testing.assert_array_equal(fitted.predict_proba(TEXTS), fitted.committee_.predict_proba(TEXTS))
    assert fitted.predict(np.array(TEXTS)).tolist() == fitted.committee_.predict(TEXTS)
    assert fitted.score(pd.Series(TEXTS), LABELS) == np.mean(fitted.predict(TEXTS) == LABELS)
    again = tinylm.finetune(base, texts=TEXTS, labels=LABELS, steps=3, search=False, precision="float32", seed=0)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), fitted.predict_proba(TEXTS))


def test_weights_are_those_of_fine_tuning(base, fitted):
    labels, weights = np.arange(60) % 3, np.linspace(0, 2, 60)
    ours = TinyLMClassifier(base, class_weight={1: 5.0}, **QUICK).fit(TEXTS, labels, sample_weight=weights)
    options = {"steps": 3, "search": False, "precision": "float32", "seed": 0}
    theirs = tinylm.finetune(
        base, texts=TEXTS, labels=labels, sample_weight=weights, class_weight={"1": 5.0}, progress=None, **options
    )
    np.testing.assert_array_equal(ours.predict_proba(TEXTS), theirs.predict_proba(TEXTS))
    assert (ours.predict_proba(TEXTS) != fitted.predict_proba(TEXTS)).any()


@pytest.mark.parametrize("classes", [[2, 10, 100], [True, False], [-1, 1], pd.Categorical(["b", "a", "c"])], ids=str)
def test_columns_are_in_the_order_of_the_classes(base, classes):
    labels = np.asarray(classes)[np.arange(60) % len(classes)]
    fitted = TinyLMClassifier(base, members=1, **QUICK).fit(TEXTS, labels)
    assert fitted.classes_.tolist() == sorted(set(np.asarray(classes).tolist()))
    names = [str(label) for label in fitted.classes_.tolist()]
    by_name = dict(zip(fitted.committee_.labels, fitted.committee_.predict_proba(TEXTS).T, strict=True))
    np.testing.assert_array_equal(fitted.predict_proba(TEXTS), np.stack([by_name[name] for name in names], axis=1))
    assert fitted.predict(TEXTS).dtype == labels.dtype


SEVERAL = np.stack([np.arange(60) % 3 == 0, np.arange(60) % 2 == 0, np.arange(60) % 5 == 0], axis=1).astype(int)


@pytest.mark.parametrize("kind", ["array", "sparse", "table"])
def test_several_labels_a_text_are_columns_of_0_and_1(base, kind):
    names = ["printer", "network", "account"]
    given = {"array": SEVERAL, "sparse": csr_matrix(SEVERAL), "table": pd.DataFrame(SEVERAL, columns=names)}[kind]
    fitted = TinyLMClassifier(base, members=1, **QUICK).fit(TEXTS, given)
    assert fitted.classes_.tolist() == (names if kind == "table" else [0, 1, 2])
    known = names if kind == "table" else ["0", "1", "2"]
    lists = [[name for name, present in zip(known, row, strict=True) if present] for row in SEVERAL]
    options = {"steps": 3, "search": False, "precision": "float32", "seed": 0}
    theirs = tinylm.finetune(
        open_base(base).first(1), texts=TEXTS, labels=lists, progress=None, class_weight=None, **options
    )
    order = [theirs.labels.index(name) for name in known]
    np.testing.assert_array_equal(fitted.predict_proba(TEXTS), theirs.predict_proba(TEXTS)[:, order])
    expected = [[int(name in found) for name in known] for found in theirs.predict(TEXTS)]
    np.testing.assert_array_equal(fitted.predict(TEXTS), expected)
    assert 0 < np.mean(expected) < 1
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    np.testing.assert_array_equal(again.predict(TEXTS), expected)
    assert fitted.score(TEXTS, SEVERAL) == np.mean((fitted.predict(TEXTS) == SEVERAL).all(axis=1))


def test_a_label_that_no_text_has_is_never_predicted(base):
    labels = np.column_stack([SEVERAL[:, 0], np.zeros(60, int), SEVERAL[:, 1]])
    fitted = TinyLMClassifier(base, members=1, **QUICK).fit(TEXTS, labels)
    assert fitted.predict_proba(TEXTS).shape == fitted.predict(TEXTS).shape == (60, 3)
    assert not fitted.predict_proba(TEXTS)[:, 1].any() and not fitted.predict(TEXTS)[:, 1].any()
    found = cross_val_predict(TinyLMClassifier(base, members=1, **QUICK), TEXTS, labels, cv=2)
    assert found.shape == (60, 3)


def test_a_pickle_carries_the_model(base, fitted, tmp_path):
    expected = fitted.predict_proba(TEXTS)
    joblib.dump(fitted, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), expected)
    folder = loaded._folder.path
    loaded.committee_.save(tmp_path / "model")
    np.testing.assert_array_equal(tinylm.load(tmp_path / "model").predict_proba(TEXTS), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(loaded)).predict_proba(TEXTS), expected)  # noqa: S301
    assert folder.is_dir()
    del loaded
    gc.collect()
    assert not folder.exists()
    copied = shutil.copytree(base, tmp_path / "base")
    encoder = TinyLMEncoder(copied, members=1).fit()
    content = pickle.dumps(encoder)
    shutil.rmtree(copied)
    vectors = pickle.loads(content).transform(TEXTS)  # noqa: S301
    np.testing.assert_array_equal(vectors, encoder.transform(TEXTS))


def test_a_clone_is_not_fitted_and_says_the_same(base, fitted):
    cloned = clone(fitted)
    with pytest.raises(NotFittedError):
        cloned.predict(TEXTS)
    cloned.set_params(base=open_base(base))
    np.testing.assert_array_equal(cloned.fit(TEXTS, LABELS).predict_proba(TEXTS), fitted.predict_proba(TEXTS))


def test_the_seed_is_drawn_where_none_is_given(base):
    np.random.seed(3)  # noqa: NPY002
    texts = [TinyLMClassifier(base, members=1, **QUICK | {"random_state": None}).fit(TEXTS, LABELS) for _ in range(2)]
    assert (texts[0].predict_proba(TEXTS) != texts[1].predict_proba(TEXTS)).any()


@pytest.mark.slow
def test_cross_validation_with_two_jobs_is_that_with_one(base):
    estimator = TinyLMClassifier(base, members=1, **QUICK)
    one, two = (
        cross_val_predict(estimator, TEXTS, LABELS, cv=2, n_jobs=jobs, method="predict_proba") for jobs in (1, 2)
    )
    assert one.shape == (60, 3)
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_grid_over_members_and_learning_rates(base):
    grid = GridSearchCV(TinyLMClassifier(base, **QUICK), {"members": [1, 2], "learning_rate": [1e-3, 1e-2]}, cv=2)
    grid.fit(TEXTS, LABELS)
    assert len(grid.cv_results_["params"]) == 4
    assert len(grid.best_estimator_.committee_) == grid.best_params_["members"]


def test_a_frozen_head_is_that_of_finetune(base, tmp_path):
    fitted = TinyLMClassifier(base, head="frozen", random_state=3).fit(TEXTS, LABELS)
    committee = tinylm.finetune(base, texts=TEXTS, labels=LABELS, head="frozen", seed=3, output=tmp_path / "model")
    np.testing.assert_array_equal(fitted.predict_proba(TEXTS), committee.predict_proba(TEXTS))


def test_calibration(base):
    calibrated = CalibratedClassifierCV(TinyLMClassifier(base, members=1, **QUICK), method="sigmoid", cv=2)
    probabilities = calibrated.fit(TEXTS, LABELS).predict_proba(TEXTS)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_the_encoder_in_a_pipeline(base):
    pipeline = make_pipeline(TinyLMEncoder(base), StandardScaler(), LogisticRegression())
    found = cross_val_predict(pipeline, pd.Series(TEXTS), LABELS, cv=3)
    assert np.mean(found == LABELS) > 0.5
    vectors = TinyLMEncoder(base, normalise=True).fit(TEXTS).transform(TEXTS)
    np.testing.assert_array_equal(vectors, open_base(base).encode(TEXTS, normalise=True))
    table = (
        TinyLMEncoder(base, members=1)
        .set_output(transform="pandas")
        .fit_transform(pd.Series(TEXTS, index=range(5, 65)))
    )
    assert table.columns[:2].tolist() == ["tinylmencoder0", "tinylmencoder1"] and table.shape == (60, 16)


def test_progress_is_on_standard_error_where_it_is_asked_for(base, capsys):
    TinyLMClassifier(base, members=1, **QUICK).fit(TEXTS, LABELS)
    assert capsys.readouterr() == ("", "")
    TinyLMClassifier(base, members=1, verbose=1, **QUICK).fit(TEXTS, LABELS)
    heard = capsys.readouterr()
    assert heard.out == "" and "member 0" in heard.err


WRONG = [
    ({"base": None}, TEXTS, LABELS, "TinyLMClassifier needs a base; give what tinylm.pretrain returned, or the folder"),
    ({"base": "missing"}, TEXTS, LABELS, "missing holds no pre-trained model; give the folder"),
    ({"members": 3}, TEXTS, LABELS, r"has 2 pre-trained member\(s\), not 3"),
    ({"steps": 0}, TEXTS, LABELS, "steps is 0; it must be above 0"),
    ({"class_weight": {"kitchen": 2.0}}, TEXTS, LABELS, "class_weight has 'kitchen', which is no class of y"),
    ({"class_weight": "even"}, TEXTS, LABELS, "class_weight is 'even'; give 'balanced', or weights by class"),
    ({}, "printer jam", LABELS, "X is one string, 'printer jam'; give a list of them"),
    ({}, [[1, 2], [3, 4]], [0, 1], "X, row 0, is list, not a string; give a string a row"),
    ({}, np.zeros((2, 2)), [0, 1], "X is an array of 2 dimensions; give one of 1"),
    ({}, ["a", None, "b", "c"], [0, 1, 0, 1], "X, row 1, is missing; give a string a row"),
    ({}, TEXTS, LABELS[:-1], "inconsistent numbers of samples"),
    ({}, TEXTS, ["printer"] * 60, "y has one class only, 'printer'; there is nothing to tell apart"),
    ({}, TEXTS, np.linspace(0, 1, 60), "Unknown label type: continuous"),
    ({}, TEXTS, [["printer"], ["network", "account"]] * 30, "Sequence of sequences are no longer supported; use a bin"),
    ({}, TEXTS, np.zeros((60, 2)), "no label"),
    ({}, TEXTS, np.arange(120).reshape(60, 2), r"y should be a 1d array, got an array of shape \(60, 2\)"),
    ({}, TEXTS, SEVERAL[:-1], "inconsistent numbers of samples"),
    ({"class_weight": "balanced"}, TEXTS, SEVERAL, "class_weight"),
    ({"head": "frozen"}, TEXTS, LABELS, "a frozen head has no other settings than seed, search"),
]


@pytest.mark.parametrize(("settings", "texts", "labels", "message"), WRONG, ids=[message for *_, message in WRONG])
def test_what_is_wrong_is_a_value_error(base, settings, texts, labels, message):
    with pytest.raises(ValueError, match=message):
        TinyLMClassifier(**{"base": base, **QUICK, **settings}).fit(texts, labels)
