"""What a committee says of texts, and why."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinylm.committee import voting


@dataclass(frozen=True)
class Answers:
    """What a committee says of n texts.

    Attributes:
        labels: names of the classes.
        probabilities: (n, labels) float32, the committee's.
        votes: (members, n, labels) float32, probabilities of each member.
        tokens: (n,) int64, tokens read of each text, `[CLS]` and `[SEP]` included.
    """

    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    votes: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int64]

    @property
    def disagreement(self) -> npt.NDArray[np.float64]:
        """(n,) nats; see `voting.disagreement`."""
        return voting.disagreement(self.votes) if self.votes.size else np.empty(0)


@dataclass(frozen=True)
class Prediction:
    """What a committee says of one text.

    Attributes:
        label: the most probable label.
        probability: of that label, 0 to 1.
        probabilities: of every label.
        disagreement: mutual information between member and prediction, in nats; 0 where all members agree.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    disagreement: float


@dataclass(frozen=True)
class Word:
    """A word of a text, or a character that the vocabulary takes as a word.

    Attributes:
        start: of its first character.
        end: after its last.
        weight: how the [CLS] read weighs its tokens, 0 to 1, mean over members and heads.
    """

    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Explanation:
    """What a committee looked at.

    The weights are those of the softmax that the answer is computed with, in the last layer. What a weighed token
    then contributes may speak for any of the classes.

    Attributes:
        answers: of the one text.
        words: those that were read; a long text is cut.
        special: the weight on `[CLS]` and `[SEP]`; it and those of the words sum to 1.
    """

    answers: Answers
    words: tuple[Word, ...]
    special: float
