"""Fitting the linear n-gram classifier of a committee: a support vector machine a class on tf-idf of n-grams.

It votes beside the members, since it errs elsewhere: it weighs each n-gram of the labelled texts by itself, and knows
nothing of any other text.

In some fits a machine sees each feature times how much it is of its class, or is not: the magnitude of the log-count
ratio of naive Bayes (Wang & Manning, 2012, "Baselines and Bigrams", section 2), with which few labels go further
(docs/LOG.md, "Log-count ratios"). The weights take that factor in, so what answers is the same.
"""

import warnings
from dataclasses import dataclass
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
from tinylm.model.ngrams import NgramClassifier
from tinylm.text.splits import Task
from tinylm.tokens.characters import character_ngrams
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.sequences import Indices
from tinylm.tokens.windows import Long, most_windows, positions_for
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.finetune import vocabulary_size
from tinylm.train.ngram_features import NgramFeatures
from tinylm.train.weights import Weights

_PASSES = 10
"""Passes over the texts: more change no accuracy, and take up to ten times as long (docs/LOG.md)."""

_MOST_OF_CHARACTERS = 200_000_000
"""Character n-grams of all texts, times classes: a fit takes 5 seconds. Above that it is left out of the search."""

_NO_EXAMPLE = -1.0
"""Score of a class without examples: that of a machine which sees negative ones alone."""

_TRUST_IN_RATIOS = 0.5
"""How much of what a feature counts for is its own log-count ratio; the rest is the mean of all."""

_Weighed = tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.float64] | None]


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
    fitted = _fit(matrix, task.train.labels, len(task.labels), chosen, seed, _weighed(weights, every))
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
                coefficients, bias = _fit(matrix, labels, len(task.labels), fit, seed, weighed)
                found[fit] = scored @ coefficients.T + bias
                progress.update(len(found))
    progress.finish()
    return np.stack([found[fit] for fit in NGRAM_FITS])


def _weighed(weights: Weights | None, rows: Indices) -> _Weighed:
    """Weights of classes and of some texts; None where all count alike."""
    return (None, None) if weights is None else (weights.of_labels, weights.of_samples[rows])


def _fit(
    matrix: sparse.csr_matrix,
    labels: npt.NDArray[np.int64],
    classes: int,
    how: NgramFit | NgramVote,
    seed: int,
    weighed: _Weighed = (None, None),
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
    if labels.ndim == 1 and not how.log_count_ratio:
        machine = _machine(matrix, labels, how.C, order, of_texts, of_classes)
        coefficients, intercepts = machine.coef_, machine.intercept_
        if len(machine.classes_) == 2:
            coefficients, intercepts = (np.concatenate([-x, x]) for x in (coefficients, intercepts))
        weights[machine.classes_], bias[machine.classes_] = coefficients, intercepts
        return weights, bias
    if of_classes is not None:
        of_texts = of_classes[labels] if of_texts is None else of_classes[labels] * of_texts
    every = labels.T > 0 if labels.ndim == 2 else np.arange(classes)[:, None] == labels
    ratios = _Ratios.of(matrix, of_texts) if how.log_count_ratio else None
    for label, present in enumerate(every):
        if present.all():
            bias[label] = -_NO_EXAMPLE
        elif present.any():
            scaled, scale = (matrix, 1.0) if ratios is None else ratios.scaled(matrix, present)
            machine = _machine(scaled, present, how.C, order, of_texts)
            weights[label], bias[label] = machine.coef_[0] * scale, machine.intercept_[0]
    return weights, bias


@dataclass(frozen=True, eq=False)
class _Ratios:
    """What features count for where one class is asked for."""

    has: sparse.csr_matrix
    """(texts, features), how much each text with a feature counts."""
    squares: npt.NDArray[np.float64]
    """(features,), of all texts."""

    @classmethod
    def of(cls, matrix: sparse.csr_matrix, of_texts: npt.NDArray[np.float64] | None) -> "_Ratios":
        """Those of some texts (texts, features), of which each counts so much; all alike when None."""
        has = (matrix != 0).astype(np.float64)
        has = has if of_texts is None else sparse.csr_matrix(sparse.diags(of_texts) @ has)
        return cls(has, np.asarray(matrix.power(2).sum(axis=0)).ravel())

    def scaled(
        self, matrix: sparse.csr_matrix, present: npt.NDArray[np.bool_]
    ) -> tuple[sparse.csr_matrix, npt.NDArray[np.float64]]:
        """The texts for the machine of a class, and the scale (features,) that they were multiplied by.

        It is half the magnitude of each log-count ratio, and half their mean. Texts keep the mean square of their
        norms, so that C means what it does elsewhere.

        Args:
            matrix: (texts, features), that of `of`.
            present: (texts,), which are of the class.
        """
        magnitudes = np.abs(self.log_count_ratio(present))
        scale = _TRUST_IN_RATIOS * magnitudes + (1 - _TRUST_IN_RATIOS) * magnitudes.mean()
        squares = self.squares @ scale**2
        # Where no feature is more frequent in either, all count as they do without.
        scale = scale * np.sqrt(self.squares.sum() / squares) if squares else np.ones_like(scale)
        return sparse.csr_matrix(
            (matrix.data * scale[matrix.indices], matrix.indices, matrix.indptr), matrix.shape
        ), scale

    def log_count_ratio(self, present: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """(features,): log((p / |p|) / (q / |q|)); p and q are 1 + the texts with a feature, of a class and of others.

        From Wang & Manning (2012), section 2, with their smoothing, and presence for counts.
        """
        p, q = (1 + self.has.T @ texts.astype(np.float64) for texts in (present, ~present))
        return np.asarray(np.log(p / p.sum()) - np.log(q / q.sum()))


def _machine(
    matrix: sparse.csr_matrix,
    labels: npt.NDArray[np.int64],
    regularisation: float,
    order: int,
    of_texts: npt.NDArray[np.float64] | None,
    of_classes: npt.NDArray[np.float64] | None = None,
) -> LinearSVC:
    by_class = None if of_classes is None else dict(enumerate(of_classes.tolist()))
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        machine = LinearSVC(C=regularisation, dual=True, max_iter=_PASSES, random_state=order, class_weight=by_class)
        return machine.fit(matrix, labels, sample_weight=of_texts)
