"""Fitting the linear n-gram classifier of a committee: a support vector machine on unigrams and bigrams of tokens.

It votes beside the members, since it errs elsewhere: it weighs each n-gram of the labelled texts by itself, and knows
nothing of any other text. Features are tf-idf (as scikit-learn smooths it), with a tf of 1 or 1 + log c of an n-gram
that occurs c times in a window, added up over windows; each text is divided by the root of the sum of tf idf^2 over its
n-grams. So a graph can compute it position by position. With plain counts for a tf, long texts were classified worse by
up to six points (docs/LOG.md, "What recurs in a text").
"""

import warnings
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from tinylm.committee.mixing import NGRAM_FITS, NgramVote, TermFrequency
from tinylm.core.progress import Progress
from tinylm.core.seeds import numpy_generator
from tinylm.model.config import ModelConfig
from tinylm.model.ngrams import NORM_EPSILON, NgramClassifier, NgramTables, share_of_tf, term_frequency
from tinylm.text.splits import Task
from tinylm.tokens.bigrams import bigram_codes, frequent_bigrams, look_up
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.sequences import Indices, in_chunks
from tinylm.tokens.windows import Long, most_windows, positions_for
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.finetune import BIGRAM_MIN_COUNT, MOST_BIGRAMS, vocabulary_size
from tinylm.train.weights import Weights

_MOST_WEIGHTS = 20_000_000
"""One for each class and n-gram: 80 MB. Where there would be more, the rarest n-grams are left out, bigrams first."""

_PASSES = 10
"""Passes over the texts: more change no accuracy, and take up to ten times as long (docs/LOG.md)."""

_NO_EXAMPLE = -1.0
"""Score of a class without examples: that of a machine which sees negative ones alone."""


@dataclass(frozen=True, eq=False)
class NgramFeatures:
    """Which n-grams of texts count, and for how much; labels have no part in it."""

    unigrams: Indices
    """(unigrams,) token ids, rising."""
    bigrams: Indices
    """(bigrams,) codes, rising; see `tokens.bigrams.bigram_codes`."""
    vocab_size: int
    """That the codes are made with."""
    idf: npt.NDArray[np.float64]
    """(unigrams + bigrams,)."""

    @classmethod
    def of(cls, sequences: EncodedTexts, vocab_size: int, classes: int) -> "NgramFeatures":
        """Those of some texts: all unigrams, and the bigrams that recur.

        Args:
            sequences: the texts.
            vocab_size: of their vocabulary.
            classes: how many are to be told apart.
        """
        most = max(1, _MOST_WEIGHTS // classes)
        counts = np.zeros(vocab_size, np.int64)
        for ids, real in in_chunks(sequences):
            counts += np.bincount(ids[:, 1:-1][real[:, 2:]], minlength=vocab_size)
        unigrams = np.sort(np.argsort(-counts, kind="stable")[: min(most, np.count_nonzero(counts))])
        left = min(MOST_BIGRAMS, most - len(unigrams))
        bigrams = frequent_bigrams(sequences, vocab_size, min_count=BIGRAM_MIN_COUNT, most=left)
        unweighted = cls(unigrams, bigrams, vocab_size, np.ones(len(unigrams) + len(bigrams)))
        texts_with = np.bincount(unweighted._tf(sequences, "binary").indices, minlength=len(unweighted.idf))
        return replace(unweighted, idf=np.log((1 + len(sequences.windows)) / (1 + texts_with)) + 1)

    def matrix(self, sequences: EncodedTexts, tf: TermFrequency) -> sparse.csr_matrix:
        """Texts in these features: (texts, unigrams + bigrams)."""
        frequencies = self._tf(sequences, tf)
        norm = np.sqrt(frequencies @ self.idf**2 + NORM_EPSILON)
        return sparse.csr_matrix(sparse.diags(1 / norm) @ frequencies @ sparse.diags(self.idf))

    def classifier(
        self, weights: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], vote: NgramVote, positions: int
    ) -> NgramClassifier:
        """One with weights (classes, unigrams + bigrams) and bias (classes,), for windows of at most so many positions.

        Of the vote, temperature and tf count.
        """
        parts = np.split((weights / vote.temperature).T, [len(self.unigrams)])
        idf = np.split(self.idf, [len(self.unigrams)])
        unigrams, bigrams = map(NgramTables.of, (self.unigrams, self.bigrams), parts, idf)
        shares = share_of_tf(vote.tf, positions)[:, None].astype(np.float32)
        return NgramClassifier(unigrams, bigrams, (bias / vote.temperature).astype(np.float32), self.vocab_size, shares)

    def _tf(self, sequences: EncodedTexts, tf: TermFrequency) -> sparse.csr_matrix:
        """(texts, unigrams + bigrams): the frequencies in its windows, added up."""
        rows, columns, windows = list[Indices](), list[Indices](), 0
        for ids, real in in_chunks(sequences):
            of_bigrams = look_up(self.bigrams, bigram_codes(ids, self.vocab_size))
            for found, before in ((look_up(self.unigrams, ids), 0), (of_bigrams, len(self.unigrams))):
                row, position = np.nonzero(real & (found > 0))
                rows.append(row + windows)
                columns.append(found[row, position] - 1 + before)
            windows += len(ids)
        row, column = np.concatenate(rows), np.concatenate(columns)
        counts = sparse.csr_matrix((np.ones(len(row), np.int64), (row, column)), shape=(windows, len(self.idf)))
        counts.data = term_frequency(tf, counts.data)
        texts = np.repeat(np.arange(len(sequences.windows)), sequences.windows)
        of_text = sparse.csr_matrix((np.ones(windows), (texts, np.arange(windows))))
        return sparse.csr_matrix(of_text @ counts)


def fit_ngram_classifier(
    shape: ModelConfig,
    tokenizer: Tokenizer,
    task: Task,
    chosen: NgramVote,
    seed: int,
    long: Long,
    weights: Weights | None = None,
) -> NgramClassifier:
    """Fit it to all training texts of a task.

    Args:
        shape: of the member whose ids it reads.
        tokenizer: that member's vocabulary.
        task: what to learn; its test part is not looked at.
        chosen: how.
        seed: of the order in which the solver visits the texts.
        long: what is done with long texts; of windows it reads as many as members do.
        weights: of labels and texts.
    """
    positions = positions_for(long, shape.positions)
    sequences = EncodedTexts(task.train.texts, tokenizer, positions, most_windows(long))
    features = NgramFeatures.of(sequences, vocabulary_size(shape, tokenizer), len(task.labels))
    matrix, every = features.matrix(sequences, chosen.tf), np.arange(len(task.train))
    fitted = _fit(matrix, task.train.labels, len(task.labels), chosen.C, seed, _weighed(weights, every))
    return features.classifier(*fitted, chosen, positions)


def score_held_out(
    shape: ModelConfig,
    tokenizer: Tokenizer,
    task: Task,
    held_out: npt.NDArray[np.bool_],
    seed: int,
    long: Long,
    progress: Progress,
    weights: Weights | None = None,
) -> npt.NDArray[np.float64]:
    """Fit it to some training texts of a task and score the others.

    Args:
        shape: of the member whose ids it reads.
        tokenizer: that member's vocabulary.
        task: what to learn.
        held_out: (training texts,) those to score.
        seed: as in `fit_ngram_classifier`.
        long: likewise.
        progress: receives how far it is.
        weights: of labels and texts.

    Returns:
        (len(NGRAM_FITS), held-out texts, classes).
    """
    rest, rows = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    encoded = EncodedTexts(task.train.texts, tokenizer, positions_for(long, shape.positions), most_windows(long))
    learnt, others = encoded.take(rest), encoded.take(rows)
    features = NgramFeatures.of(learnt, vocabulary_size(shape, tokenizer), len(task.labels))
    matrices = {tf: (features.matrix(learnt, tf), features.matrix(others, tf)) for tf in get_args(TermFrequency)}
    progress.start("linear n-gram classifier", len(NGRAM_FITS), "fits")
    found = []
    for number, (tf, regularisation) in enumerate(NGRAM_FITS, start=1):
        matrix, to_score = matrices[tf]
        coefficients, bias = _fit(
            matrix, task.train.labels[rest], len(task.labels), regularisation, seed, _weighed(weights, rest)
        )
        found.append(to_score @ coefficients.T + bias)
        progress.update(number)
    progress.finish()
    return np.stack(found)


def _weighed(weights: Weights | None, rows: Indices) -> tuple[dict[int, float] | None, npt.NDArray[np.float64] | None]:
    """Weights of classes and of some texts as scikit-learn takes them."""
    return (None, None) if weights is None else (dict(enumerate(weights.of_labels.tolist())), weights.of_samples[rows])


def _fit(
    matrix: sparse.csr_matrix,
    labels: npt.NDArray[np.int64],
    classes: int,
    regularisation: float,
    seed: int,
    weighed: tuple[dict[int, float] | None, npt.NDArray[np.float64] | None] = (None, None),
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """One-vs-rest weights (classes, features) and bias (classes,)."""
    weights, bias = np.zeros((classes, matrix.shape[1])), np.full(classes, _NO_EXAMPLE)
    if not matrix.shape[1]:
        return weights, bias
    of_classes, of_texts = weighed
    if of_texts is not None:
        counted = of_texts > 0
        matrix, labels, of_texts = matrix[counted], labels[counted], of_texts[counted]
        if labels.ndim == 1 and len(np.unique(labels)) < 2:
            return weights, bias
    order = int(numpy_generator(seed, "n-gram classifier").integers(2**31))
    if labels.ndim == 2:
        for label, present in enumerate(labels.T):
            if present.all():
                bias[label] = -_NO_EXAMPLE
            elif present.any():
                machine = _machine(matrix, present, regularisation, order, None, of_texts)
                weights[label], bias[label] = machine.coef_[0], machine.intercept_[0]
        return weights, bias
    machine = _machine(matrix, labels, regularisation, order, of_classes, of_texts)
    coefficients, intercepts = machine.coef_, machine.intercept_
    if len(machine.classes_) == 2:
        coefficients, intercepts = (np.concatenate([-x, x]) for x in (coefficients, intercepts))
    weights[machine.classes_], bias[machine.classes_] = coefficients, intercepts
    return weights, bias


def _machine(
    matrix: sparse.csr_matrix,
    labels: npt.NDArray[np.int64],
    regularisation: float,
    order: int,
    of_classes: dict[int, float] | None,
    of_texts: npt.NDArray[np.float64] | None,
) -> LinearSVC:
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        machine = LinearSVC(C=regularisation, dual=True, max_iter=_PASSES, random_state=order, class_weight=of_classes)
        return machine.fit(matrix, labels, sample_weight=of_texts)
