"""What a committee predicts of texts: of a batch, of one text, and which words its attention weighs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinylm.committee import voting
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS


@dataclass(frozen=True)
class Predictions:
    """What a committee predicts of n texts."""

    labels: tuple[str, ...]
    """Names of the classes."""
    probabilities: npt.NDArray[np.float32]
    """(n, labels): of the committee."""
    votes: npt.NDArray[np.float32]
    """(members, n, labels): probabilities of each member."""
    tokens: npt.NDArray[np.int64]
    """(n,): tokens read of each text, `[CLS]` and `[SEP]` of each of its windows included."""
    truncated: npt.NDArray[np.bool_]
    """(n,): whether the text goes on after what was read of it."""
    ngrams: npt.NDArray[np.float32] | None = None
    """(n, labels): probabilities of the linear n-gram classifier that votes with the members, if there is one."""
    thresholds: npt.NDArray[np.float64] | None = None
    """(labels,): from which probability on a text has each, where it may have several; None where it has one."""

    def __len__(self) -> int:
        return len(self.probabilities)

    def __getitem__(self, texts: slice | npt.NDArray[np.integer]) -> "Predictions":
        """Those of some of the texts, in that order; with a slice the arrays are views."""
        ngrams = None if self.ngrams is None else self.ngrams[texts]
        probabilities, votes = self.probabilities[texts], self.votes[:, texts]
        read = self.tokens[texts], self.truncated[texts]
        return Predictions(self.labels, probabilities, votes, *read, ngrams, self.thresholds)

    @classmethod
    def concatenate(cls, parts: "Sequence[Predictions]") -> "Predictions":
        """Predictions of one committee for the texts of all parts, in their order; there is at least one part."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            parts[0].labels,
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.votes for part in parts], axis=1),
            np.concatenate([part.tokens for part in parts]),
            np.concatenate([part.truncated for part in parts]),
            None if parts[0].ngrams is None else np.concatenate([p.ngrams for p in parts if p.ngrams is not None]),
            parts[0].thresholds,
        )

    @property
    def disagreement(self) -> npt.NDArray[np.float64]:
        """(n,) nats; see `voting.disagreement`."""
        problem_type = ONE_LABEL if self.thresholds is None else SEVERAL_LABELS
        return voting.disagreement(self.votes, problem_type) if self.votes.size else np.empty(0)

    @property
    def label_sets(self) -> list[list[str]]:
        """The labels of each text, the most probable first, where it may have several; n lists, perhaps empty."""
        assert self.thresholds is not None, "each text has one label"
        ranked = np.argsort(-self.probabilities, axis=1, kind="stable")
        present = self.probabilities >= self.thresholds
        return [
            [self.labels[label] for label in order if row[label]]
            for order, row in zip(ranked.tolist(), present.tolist(), strict=True)
        ]

    def one_by_one(self) -> "Iterator[Prediction | LabelsPrediction]":
        """The prediction for each text, in the order of the texts."""
        label_sets = None if self.thresholds is None else self.label_sets
        by_ngrams = [None] * len(self) if self.ngrams is None else self.ngrams.tolist()
        for text, (best, row, disagreement, votes, tokens, truncated, ngrams) in enumerate(
            zip(
                self.probabilities.argmax(1).tolist(),
                self.probabilities.tolist(),
                self.disagreement.tolist(),
                self.votes.swapaxes(0, 1).tolist(),  # (n, members, labels)
                self.tokens.tolist(),
                self.truncated.tolist(),
                by_ngrams,
                strict=True,
            )
        ):
            shared: dict[str, Any] = {
                "probabilities": dict(zip(self.labels, row, strict=True)),
                "disagreement": disagreement,
                "votes": [dict(zip(self.labels, vote, strict=True)) for vote in votes],
                "tokens": tokens,
                "truncated": truncated,
                "ngrams": None if ngrams is None else dict(zip(self.labels, ngrams, strict=True)),
            }
            if label_sets is None:
                yield Prediction(label=self.labels[best], probability=row[best], **shared)
            else:
                yield LabelsPrediction(labels=label_sets[text], **shared)


@dataclass(frozen=True)
class Prediction:
    """What a committee predicts of one text."""

    label: str
    """The most probable one."""
    probability: float
    """Of that label, 0 to 1."""
    probabilities: dict[str, float]
    """Of every label."""
    disagreement: float
    """Mutual information between member and prediction, in nats; 0 where all members agree."""
    votes: list[dict[str, float]]
    """Probability of every label, by each member."""
    tokens: int
    """Tokens read, `[CLS]` and `[SEP]` of each window included."""
    truncated: bool = False
    """Whether the text goes on after what was read of it."""
    ngrams: dict[str, float] | None = None
    """Probability of every label, by the linear n-gram classifier that votes with the members, if there is one."""


@dataclass(frozen=True)
class LabelsPrediction:
    """What a committee predicts of one text that may have several labels."""

    labels: list[str]
    """Those that reach their thresholds, the most probable first; perhaps none."""
    probabilities: dict[str, float]
    """Of every label, each by itself."""
    disagreement: float
    """Mutual information between member and prediction, in nats, summed over labels; 0 where all members agree."""
    votes: list[dict[str, float]]
    """Probability of every label, by each member."""
    tokens: int
    """Tokens read, `[CLS]` and `[SEP]` of each window included."""
    truncated: bool = False
    """Whether the text goes on after what was read of it."""
    ngrams: dict[str, float] | None = None
    """Probability of every label, by the linear n-gram classifier that votes with the members, if there is one."""


@dataclass(frozen=True)
class Word:
    """A word of a text, or a character that the vocabulary takes as a word."""

    start: int
    """Index of its first character."""
    end: int
    """Index after its last character."""
    weight: float
    """Attention of the [CLS] readout to its tokens, 0 to 1, mean over members and heads."""


@dataclass(frozen=True)
class Explanation:
    """Which words of a text the [CLS] readout attends to.

    The weights are those of the attention softmax of the last layer, from which the prediction is computed. They do
    not show for which of the classes the value of a token counts.
    """

    predictions: Predictions
    """Of the one text."""
    words: tuple[Word, ...]
    """Those that were read."""
    special: float
    """Weight on `[CLS]` and `[SEP]`; it and the weights of the words sum to 1."""
