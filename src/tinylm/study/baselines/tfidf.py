"""What a user would pick instead of a tiny language model, measured on the same texts: tf-idf with a linear SVM."""

import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import MissingExtraError
from tinylm.core.seeds import numpy_generator

Predictor = Callable[[Sequence[str]], npt.NDArray[np.integer]]
"""Classes of texts: (n,)."""

Features = Literal["words", "characters"]

SEARCH_TEXTS = 4000
"""Texts that the search looks at, at most, so that it stays below two minutes with the 64 labels of FewRel."""

ENGLISH = 0.1
"""Share of English function words among the words of a text from which on it is taken for English, where it is 0.2 to
0.5; in other languages it is below 0.05."""

_C = (0.5, 1.0, 2.0, 4.0)
_FOLDS = 3


def tfidf_svm(
    train_texts: Sequence[str],
    train_labels: Sequence[int],
    test_texts: Sequence[str],
    seed: int = 0,
) -> npt.NDArray[np.int64]:
    """A linear support vector machine on tf-idf: strong, and trained in seconds.

    Of words and word pairs, or of 2 to 5 neighbouring characters within words, which are better where words take many
    forms or have no blanks between them. Which of them, whether function words are left out of English text, and how
    strongly weights are regularised is chosen by three-fold cross-validation on the training texts, or on
    `SEARCH_TEXTS` of them drawn by seed: what helps with topics ruins questions, whose class is "who" or "where". Where
    a label has fewer texts than folds, it is all words, and C is 1.

    Args:
        train_texts: texts to learn from.
        train_labels: their classes, one a text, of two classes or more.
        test_texts: texts to classify.
        seed: of the folds and of the order in which the solver visits its variables.

    Returns:
        Predicted classes, of shape (len(test_texts),).

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    return np.asarray(fit_tfidf_svm(train_texts, train_labels, seed).predict(test_texts))


def fit_tfidf_svm(
    train_texts: Sequence[str],
    train_labels: Sequence[int],
    seed: int = 0,
    features: Sequence[Features] = ("words", "characters"),
) -> Any:
    """The model of `tfidf_svm`, a scikit-learn pipeline from texts to classes, with these features to choose from."""
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415

    texts, labels = np.array(train_texts, dtype=object), np.asarray(train_labels)
    chosen = choose(texts, labels, seed, features)
    vectors, machine = vectoriser(chosen["features"], chosen["stop_words"]), linear_svm(seed, chosen["C"])
    model = make_pipeline(vectors, machine)
    model.fit(texts, labels)
    return model


def choose(
    texts: npt.NDArray[np.object_],
    labels: npt.NDArray[np.int64],
    seed: int,
    features: Sequence[Features] = ("words", "characters"),
) -> dict[str, Any]:
    """The `features`, `stop_words` and `C` of the highest cross-validated accuracy; of equals the first.

    Args:
        texts: shape (n,).
        labels: shape (n,).
        seed: of the folds.
        features: what to choose from.
    """
    if len(texts) > SEARCH_TEXTS:
        drawn = numpy_generator(seed, "baseline search").permutation(len(texts))[:SEARCH_TEXTS]
        texts, labels = texts[drawn], labels[drawn]
    if np.unique(labels, return_counts=True)[1].min() < _FOLDS:
        return {"features": features[0], "stop_words": None, "C": 1.0}
    stop_words = {"words": (None, "english") if _is_english(texts) else (None,), "characters": (None,)}
    found = [
        ({"features": kind, "stop_words": words, "C": c}, accuracy)
        for kind in features
        for words in stop_words[kind]
        for c, accuracy in zip(_C, _cross_validated(texts, labels, seed, kind, words), strict=True)
    ]
    return max(found, key=lambda pair: pair[1])[0]


def _cross_validated(
    texts: npt.NDArray[np.object_],
    labels: npt.NDArray[np.int64],
    seed: int,
    features: Features,
    stop_words: str | None,
) -> list[float]:
    """The accuracy with each of `_C`, mean over the folds."""
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415

    accuracies = []
    for learnt, others in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(texts, labels):
        vectors = vectoriser(features, stop_words)
        known, unknown = vectors.fit_transform(texts[learnt]), vectors.transform(texts[others])
        fitted = [linear_svm(seed, c).fit(known, labels[learnt]) for c in _C]
        accuracies.append([machine.score(unknown, labels[others]) for machine in fitted])
    return [float(accuracy) for accuracy in np.mean(accuracies, axis=0)]


def vectoriser(features: Features, stop_words: str | None = None) -> Any:
    """Of tf-idf on words and word pairs, without these, or on 2 to 5 neighbouring characters within words."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("train", "The tf-idf baseline") from error
    if features == "characters":
        return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, stop_words=stop_words, token_pattern=token_pattern())


def linear_svm(seed: int, C: float) -> Any:  # noqa: N803
    """A linear support vector machine; the seed is of the order in which its solver visits the variables."""
    try:
        from sklearn.svm import LinearSVC  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("train", "The tf-idf baseline") from error
    return LinearSVC(C=C, random_state=seed)


def _is_english(texts: Sequence[str] | npt.NDArray[np.object_]) -> bool:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # noqa: PLC0415

    words = [word for text in texts[:1000] for word in text.lower().split()]
    return sum(word in ENGLISH_STOP_WORDS for word in words) >= ENGLISH * len(words)


@cache
def token_pattern() -> str:
    """Words of one letter or more, and marks such as `<h>`; scikit-learn's own pattern drops both.

    Vowel signs and joiners are part of a word; to `re` they are no letters.
    """
    word = rf"[\w\u200c\u200d{''.join(_ranges_of_marks())}]+"
    return rf"</?\w+>|{word}"


def _ranges_of_marks() -> Iterator[str]:
    start = None
    for code in range(sys.maxunicode + 2):
        is_mark = code <= sys.maxunicode and unicodedata.category(chr(code)).startswith("M")
        if is_mark and start is None:
            start = code
        elif not is_mark and start is not None:
            yield f"\\U{start:08x}-\\U{code - 1:08x}"
            start = None
