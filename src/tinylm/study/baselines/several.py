"""What a user would pick for several labels a text: one linear machine a label, and fastText with one loss a label.

Both get thresholds by the rule that a committee gets them by (`committee/thresholds.py`).
"""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from tinylm.committee.thresholds import choose_thresholds, f1_scores
from tinylm.study.baselines.fast_text import fasttext_line, ranked_fits, shuffled_lines, train_on_lines
from tinylm.study.baselines.tfidf import Features, linear_svm, vectoriser
from tinylm.text.splits import Examples, Task
from tinylm.text.stratify import held_out_of_several

_C = (0.25, 0.5, 1.0, 2.0, 4.0)
_HELD_OUT = 0.2
_FASTTEXT = {"loss": "ova", "dim": 50}

Scores = npt.NDArray[np.float64]


def tfidf_svm_labels(task: Task, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Labels of the test texts by a linear support vector machine for each label, on tf-idf.

    Features (words and word pairs, or characters, as `tfidf.tfidf_svm` has them), regularisation and thresholds are
    chosen by a fifth of the training texts, held out.

    Args:
        task: what to learn.
        seed: of the part held out, and of the order in which the solver visits its variables.

    Returns:
        (test texts, labels).

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    rest, held_out = _parted(task, seed)
    best, found = (0.0, 0.0), None
    for features in get_args(Features):
        for c, scores in _svm_scores(rest, held_out.texts, features, _C, seed):
            thresholds = choose_thresholds(scores, held_out.labels, seed)
            f1 = _f1(scores >= thresholds, held_out.labels)
            if found is None or sum(f1) > sum(best):
                best, found = f1, (features, c, thresholds)
    assert found is not None
    features, c, thresholds = found
    ((_, scores),) = _svm_scores(task.train, task.test.texts, features, (c,), seed)
    return np.asarray(scores >= thresholds)


def fasttext_labels(task: Task, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Labels of the test texts by fastText with `loss=ova`: (test texts, labels).

    Settings and thresholds are chosen by a fifth of the training texts, held out.

    Raises:
        MissingExtraError: fasttext is not installed.
        TinyLMError: its weights exploded by all settings.
    """
    rest, held_out = _parted(task, seed)
    labels = len(task.labels)

    def measure(model: Any) -> float:
        scores = _fasttext_scores(model, held_out.texts, labels)
        return sum(_f1(scores >= choose_thresholds(scores, held_out.labels, seed), held_out.labels))

    lines = _fasttext_lines(rest, seed)
    ranked = ranked_fits(lines, measure, **_FASTTEXT)
    chosen = train_on_lines(task.name, lines, ranked, **_FASTTEXT)
    thresholds = choose_thresholds(_fasttext_scores(chosen, held_out.texts, labels), held_out.labels, seed)
    final = train_on_lines(task.name, _fasttext_lines(task.train, seed), ranked, **_FASTTEXT)
    return np.asarray(_fasttext_scores(final, task.test.texts, labels) >= thresholds)


def _parted(task: Task, seed: int) -> tuple[Examples, Examples]:
    held = held_out_of_several(task.train.labels, task.train.texts, _HELD_OUT, seed)
    return task.train.take(np.flatnonzero(~held)), task.train.take(np.flatnonzero(held))


def _f1(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.integer]) -> tuple[float, float]:
    micro, by_label = f1_scores(predicted, truth)
    return micro, float(by_label.mean())


def _svm_scores(
    train: Examples, texts: Sequence[str], features: Features, regularisations: Sequence[float], seed: int
) -> Iterator[tuple[float, Scores]]:
    """Each regularisation, and the scores of texts with it: (texts, labels)."""
    vectors = vectoriser(features)
    learnt, asked = vectors.fit_transform(train.texts), vectors.transform(texts)
    for c in regularisations:
        scores = np.full((len(texts), train.labels.shape[1]), -1.0)
        for label, truth in enumerate(train.labels.T):
            # A label that every text has, or none, cannot be told apart.
            if 0 < truth.sum() < len(truth):
                scores[:, label] = linear_svm(seed, c).fit(learnt, truth).decision_function(asked)
            elif truth.all():
                scores[:, label] = 1.0
        yield c, scores


def _fasttext_lines(examples: Examples, seed: int) -> list[str]:
    return shuffled_lines(map(np.flatnonzero, examples.labels), examples.texts, seed)


def _fasttext_scores(model: Any, texts: Sequence[str], labels: int) -> Scores:
    """The probability of each label: (texts, labels)."""
    scores = np.zeros((len(texts), labels))
    for row, text in enumerate(texts):
        # `predict` of fasttext needs a NumPy older than 2; what it calls does not.
        for probability, label in model.f.predict(fasttext_line(text), labels, 0.0, "strict"):
            scores[row, int(label.removeprefix("__label__"))] = probability
    return scores
