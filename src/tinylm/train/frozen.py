"""A head on frozen vectors: the encoder of a pre-trained member stays as it is, a linear classifier reads its [CLS].

The classifier is a logistic regression on standardised vectors. It is stored as an ordinary member, so that all that
answers, exports and serves needs not know of it. An ordinary member classifies tanh(pooler(x)), and tanh(z) is z to
within z^3 / 3: the pooler standardises and divides by 2^14, so that a feature ten standard deviations off is 6e-4 at
tanh, where the two differ by less than float32 can tell; the classifier multiplies by 2^14.
"""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from tinylm.core.files import new_folder, write_json
from tinylm.core.seeds import member_seed, numpy_generator
from tinylm.model.checkpoint import load_masked_language_model, save_model
from tinylm.model.heads import SequenceClassifier
from tinylm.model.operations import Array
from tinylm.runtime.loading import open_encoder
from tinylm.text.splits import Examples, Task, held_out_rows
from tinylm.tokens.loading import load_tokenizer
from tinylm.train.member import TRAINING
from tinylm.train.settings import FinetuneSettings

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the penalty, of which one is chosen."""

_SPLITS, _HELD_OUT = 3, 0.2
_MOST_TO_CHOOSE_BY = 5000
_ITERATIONS = 200
_SCALE = 2.0**-14


@dataclass(frozen=True)
class FrozenHead:
    """A linear classifier of vectors, standardised by their mean and scale."""

    mean: npt.NDArray[np.float64]
    """(width,)."""
    scale: npt.NDArray[np.float64]
    """(width,), above 0."""
    weight: npt.NDArray[np.float64]
    """(classes, width), of standardised vectors."""
    bias: npt.NDArray[np.float64]
    """(classes,)."""
    penalty: float
    """Which of `PENALTIES` was chosen."""

    @classmethod
    def fit(cls, vectors: Array, examples: Examples, classes: int, seed: int) -> "FrozenHead":
        """Fit one, with the penalty whose log-loss is least on texts held out, three times a fifth.

        Where no label has a text to spare, the penalty is that in the middle.

        Args:
            vectors: (texts, width).
            examples: the texts and their labels, at least one of each.
            classes: how many there are.
            seed: of what is held out.
        """
        wide = vectors.astype(np.float64)
        mean, scale = wide.mean(0), wide.std(0)
        scale = np.where(scale > 0, scale, 1.0)
        standardised = (wide - mean) / scale
        penalty = _choose(standardised, examples, classes, seed)
        fitted = _regression(standardised, examples.labels, penalty)
        weight, bias = fitted.coef_, fitted.intercept_
        if classes == 2:
            # Scikit-learn keeps the difference of the two.
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return cls(mean, scale, weight, bias, penalty)

    def probabilities(self, vectors: Array) -> npt.NDArray[np.float64]:
        """Of each class: (texts, width) to (texts, classes)."""
        standardised = (vectors.astype(np.float64) - self.mean) / self.scale
        return np.asarray(softmax(standardised @ self.weight.T + self.bias, axis=1))

    def write_into(self, model: SequenceClassifier) -> None:
        """Make it the pooler and classifier of a model."""
        with torch.no_grad():
            model.pooler.weight.copy_(torch.diag(torch.from_numpy(_SCALE / self.scale)))
            model.pooler.bias.copy_(torch.from_numpy(-self.mean / self.scale * _SCALE))
            model.classifier.weight.copy_(torch.from_numpy(self.weight / _SCALE))
            model.classifier.bias.copy_(torch.from_numpy(self.bias))


def fit_frozen_member(folder: Path, index: int, start: Path, task: Task, settings: FinetuneSettings) -> FrozenHead:
    """Fit a head on a pre-trained member, and write both as a member into `folder`.

    Args:
        folder: where it goes.
        index: which member; as in fine-tuning, each holds out a part of its own.
        start: the folder of the pre-trained member.
        task: what to learn; its test part is not looked at.
        settings: of which the seed, what is held out and what is done with long texts count.

    Raises:
        InputError: `start` is no pre-trained member, or has a front-end.
    """
    started, seed = time.perf_counter(), member_seed(settings.seed, index)
    examples = task.train.take(np.flatnonzero(~held_out_rows(task.train, settings.validation_fraction, seed)))
    vectors = open_encoder([start], long=settings.long).encode(examples.texts)
    head = FrozenHead.fit(vectors, examples, len(task.labels), seed)
    pretrained = load_masked_language_model(start)
    model = SequenceClassifier(pretrained.config, len(task.labels))
    model.encoder = pretrained.encoder
    head.write_into(model)
    with new_folder(folder) as temporary:
        save_model(temporary, model, load_tokenizer(start), task.labels)
        seconds = round(time.perf_counter() - started, 3)
        facts = {"head": "frozen", "seed": seed, "texts": len(examples), "penalty": head.penalty, "seconds": seconds}
        write_json(temporary / TRAINING, facts)
    return head


def predict_held_out_by_heads(
    members: Sequence[Path], task: Task, held_out: Sequence[npt.NDArray[np.bool_]], settings: FinetuneSettings
) -> npt.NDArray[np.float64]:
    """Fit heads to some training texts of a task, and predict the others.

    Args:
        members: folders of the pre-trained members, each of which has a head of its own.
        task: what to learn.
        held_out: (training texts,) those to predict, once a split.
        settings: of which the seed, and what is done with long texts, count.

    Returns:
        (members, held-out texts of all splits, classes) probabilities.
    """
    votes = list[npt.NDArray[np.float64]]()
    for index, member in enumerate(members):
        seed = member_seed(settings.seed, index)
        vectors = open_encoder([member], long=settings.long).encode(task.train.texts)
        of_splits = list[npt.NDArray[np.float64]]()
        for held in held_out:
            rest = np.flatnonzero(~held)
            head = FrozenHead.fit(vectors[rest], task.train.take(rest), len(task.labels), seed)
            of_splits.append(head.probabilities(vectors[held]))
        votes.append(np.concatenate(of_splits))
    return np.stack(votes)


def _choose(vectors: npt.NDArray[np.float64], examples: Examples, classes: int, seed: int) -> float:
    some = np.arange(len(examples))
    if len(some) > _MOST_TO_CHOOSE_BY:
        some = np.sort(numpy_generator(seed, "frozen").permutation(len(some))[:_MOST_TO_CHOOSE_BY])
    losses = np.zeros(len(PENALTIES))
    for split in range(_SPLITS):
        held = np.zeros(len(examples), bool)
        held[some] = held_out_rows(examples.take(some), _HELD_OUT, member_seed(seed, split))
        if not held.any():
            return PENALTIES[len(PENALTIES) // 2]
        kept = np.setdiff1d(some, np.flatnonzero(held))
        for number, penalty in enumerate(PENALTIES):
            fitted = _regression(vectors[kept], examples.labels[kept], penalty)
            known = np.zeros((int(held.sum()), classes))
            known[:, fitted.classes_] = fitted.predict_proba(vectors[held])
            losses[number] += log_loss(examples.labels[held], known, labels=np.arange(classes))
    return PENALTIES[int(losses.argmin())]


def _regression(vectors: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], penalty: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=penalty, max_iter=_ITERATIONS).fit(vectors, labels)
