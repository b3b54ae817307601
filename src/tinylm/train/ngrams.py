"""Fitting the linear n-gram classifier of a committee: a support vector machine on unigrams and bigrams of tokens.

It votes beside the members, since it errs elsewhere: it weighs each n-gram of the labelled texts by itself, and knows
nothing of any other text. Features are tf-idf (as scikit-learn smooths it), with a tf of 1 or 1 + log c of an n-gram
that occurs c times in a window, added up over windows. With plain counts for a tf, long texts were classified worse by
up to six points (docs/LOG.md, "What recurs in a text").

The character n-grams within tokens may be features as well, each as often as its tokens count. So forms of a word that
are tokens of their own share what is learnt of their stem, and tokens that no training text has are not without any
(docs/LOG.md, "Characters within pieces").

Each text is divided by the root of the sum of tf (norm of the features of one occurrence)^2 over its n-grams. So a
graph can compute it position by position.
"""

import warnings
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from tinylm.committee.mixing import NGRAM_FITS, NgramFit, NgramVote, TermFrequency
from tinylm.core.progress import Progress
from tinylm.core.seeds import numpy_generator
from tinylm.model.config import ModelConfig
from tinylm.model.ngrams import NORM_EPSILON, NgramClassifier, NgramTables, share_of_tf, term_frequency
from tinylm.text.splits import Task
from tinylm.tokens.bigrams import bigram_codes, frequent_bigrams, look_up
from tinylm.tokens.characters import character_ngrams
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

_MOST_OF_CHARACTERS = 200_000_000
"""Character n-grams of all texts, times classes: a fit takes 5 seconds. Above that it is left out of the search."""

_NO_EXAMPLE = -1.0
"""Score of a class without examples: that of a machine which sees negative ones alone."""


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """How often texts have the n-grams that count."""

    of_windows: sparse.csr_matrix
    """(windows, unigrams + bigrams) int64."""
    texts: sparse.csr_matrix
    """(texts, windows), 1 for the windows of a text."""

    def tf(self, how: TermFrequency) -> sparse.csr_matrix:
        """(texts, unigrams + bigrams): the term frequencies in its windows, added up."""
        frequencies = self.of_windows.astype(np.float64)
        frequencies.data = term_frequency(how, self.of_windows.data)
        return sparse.csr_matrix(self.texts @ frequencies)


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
    """(unigrams + bigrams,); 0 for unigrams that count for their characters alone."""
    characters: sparse.csr_matrix
    """(unigrams + bigrams, character n-grams), what one occurrence adds to each; perhaps there are none."""

    @classmethod
    def of(
        cls, sequences: EncodedTexts, vocab_size: int, classes: int, characters: sparse.csr_matrix | None = None
    ) -> "NgramFeatures":
        """Those of some texts: all unigrams, the bigrams that recur, and perhaps character n-grams.

        In the training texts the squares of character n-grams add up to no more than those of unigrams and bigrams do.

        Args:
            sequences: the texts.
            vocab_size: of their vocabulary.
            classes: how many are to be told apart.
            characters: (vocab_size or fewer, character n-grams), see `tokens.characters`; of no count when None.
        """
        most = max(1, _MOST_WEIGHTS // classes)
        counts = np.zeros(vocab_size, np.int64)
        for ids, real in in_chunks(sequences):
            counts += np.bincount(ids[:, 1:-1][real[:, 2:]], minlength=vocab_size)
        known = counts > 0
        if characters is not None:
            known[: characters.shape[0]] |= characters.getnnz(axis=1) > 0
        by_count = np.argsort(-np.where(known, counts, -1), kind="stable")
        unigrams = np.sort(by_count[: min(most, np.count_nonzero(known))])
        left = min(MOST_BIGRAMS, most - len(unigrams))
        bigrams = frequent_bigrams(sequences, vocab_size, min_count=BIGRAM_MIN_COUNT, most=left)
        listed = len(unigrams) + len(bigrams)
        unweighted = cls(unigrams, bigrams, vocab_size, np.ones(listed), sparse.csr_matrix((listed, 0)))
        frequencies = unweighted.count(sequences).tf("sublinear")
        of_tokens = replace(unweighted, idf=_idf(frequencies))
        if characters is None:
            return of_tokens
        further = vocab_size + len(bigrams) - characters.shape[0]
        padded = sparse.vstack([characters, sparse.csr_matrix((further, characters.shape[1]))]).tocsr()
        rows = np.concatenate([unigrams, vocab_size + np.arange(len(bigrams))])
        return of_tokens._with_characters(padded[rows], frequencies, most)

    def count(self, sequences: EncodedTexts) -> NgramCounts:
        """Count them in texts."""
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
        texts = np.repeat(np.arange(len(sequences.windows)), sequences.windows)
        return NgramCounts(counts, sparse.csr_matrix((np.ones(windows), (texts, np.arange(windows)))))

    def matrix(self, counts: NgramCounts, tf: TermFrequency) -> sparse.csr_matrix:
        """Texts in these features: (texts, unigrams + bigrams + character n-grams)."""
        frequencies = counts.tf(tf)
        norm = np.sqrt(frequencies @ self._squares + NORM_EPSILON)
        features = sparse.hstack([frequencies @ sparse.diags(self.idf), frequencies @ self.characters])
        return sparse.csr_matrix(sparse.diags(1 / norm) @ features)

    def classifier(
        self, weights: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], vote: NgramVote, positions: int
    ) -> NgramClassifier:
        """One for windows of at most so many positions; of the vote, temperature and tf count.

        Args:
            weights: (classes, unigrams + bigrams + character n-grams).
            bias: (classes,).
            vote: how it votes.
            positions: of a window.
        """
        of_tokens, of_characters = np.split(weights / vote.temperature, [len(self.idf)], axis=1)
        of_one = (of_tokens * self.idf).T + self.characters @ of_characters.T
        norms = np.sqrt(self._squares)
        counted = np.flatnonzero(norms[: len(self.unigrams)])
        of_bigrams = slice(len(self.unigrams), None)
        unigrams = NgramTables.of(self.unigrams[counted], of_one[counted], norms[counted])
        bigrams = NgramTables.of(self.bigrams, of_one[of_bigrams], norms[of_bigrams])
        shares = share_of_tf(vote.tf, positions)[:, None].astype(np.float32)
        return NgramClassifier(unigrams, bigrams, (bias / vote.temperature).astype(np.float32), self.vocab_size, shares)

    @property
    def _squares(self) -> npt.NDArray[np.float64]:
        """(unigrams + bigrams,) what one occurrence adds to the square of a text's norm."""
        return np.asarray(self.idf**2 + np.asarray(self.characters.power(2).sum(axis=1)).ravel())

    def _with_characters(
        self, characters: sparse.csr_matrix, frequencies: sparse.csr_matrix, most: int
    ) -> "NgramFeatures":
        """With character n-grams, counts of them (unigrams + bigrams, n), of those the `most` in the most texts."""
        frequencies_of_characters = frequencies @ characters
        texts_with = frequencies_of_characters.getnnz(axis=0)
        kept = np.sort(np.argsort(-texts_with, kind="stable")[: min(most, np.count_nonzero(texts_with))])
        weighed = characters[:, kept] @ sparse.diags(_idf(frequencies_of_characters[:, kept]))
        squares = np.asarray(weighed.power(2).sum(axis=1)).ravel()
        of_tokens, of_characters = (frequencies @ x for x in (self.idf**2, squares))
        share = min(1.0, np.sqrt(of_tokens.sum() / max(of_characters.sum(), NORM_EPSILON)))
        return replace(self, characters=sparse.csr_matrix(weighed * share))


def _idf(frequencies: sparse.csr_matrix) -> npt.NDArray[np.float64]:
    """(features,) of term frequencies (texts, features); 0 of what no text has."""
    texts_with = frequencies.getnnz(axis=0)
    return np.where(texts_with, np.log((1 + frequencies.shape[0]) / (1 + texts_with)) + 1, 0.0)


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
    characters = character_ngrams(tokenizer) if chosen.characters else None
    features = NgramFeatures.of(sequences, vocabulary_size(shape, tokenizer), len(task.labels), characters)
    matrix, every = features.matrix(features.count(sequences), chosen.tf), np.arange(len(task.train))
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
        (len(NGRAM_FITS), held-out texts, classes); 0 of what would take too long to fit.
    """
    rest, rows = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    encoded = EncodedTexts(task.train.texts, tokenizer, positions_for(long, shape.positions), most_windows(long))
    learnt, others = encoded.take(rest), encoded.take(rows)
    labels, weighed = task.train.labels[rest], _weighed(weights, rest)
    found = dict[NgramFit, npt.NDArray[np.float64]]()
    progress.start("linear n-gram classifier", len(NGRAM_FITS), "fits")
    for characters in (None, character_ngrams(tokenizer)):
        features = NgramFeatures.of(learnt, vocabulary_size(shape, tokenizer), len(task.labels), characters)
        to_learn, to_score = features.count(learnt), features.count(others)
        for tf in get_args(TermFrequency):
            matrix, scored = features.matrix(to_learn, tf), features.matrix(to_score, tf)
            slow = characters is not None and matrix.nnz * len(task.labels) > _MOST_OF_CHARACTERS
            for fit in (x for x in NGRAM_FITS if (x.tf, x.characters) == (tf, characters is not None)):
                if slow:
                    found[fit] = np.zeros((len(rows), len(task.labels)))
                    continue
                coefficients, bias = _fit(matrix, labels, len(task.labels), fit.C, seed, weighed)
                found[fit] = scored @ coefficients.T + bias
                progress.update(len(found))
    progress.finish()
    return np.stack([found[fit] for fit in NGRAM_FITS])


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
