"""How good a classifier of several labels a text is: micro and macro F1 with their intervals, and its worst labels."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinylm.committee.thresholds import f1_scores
from tinylm.core.errors import InputError
from tinylm.core.seeds import numpy_generator
from tinylm.evaluation.metrics import label_lines

_DRAWS = 1000
_WORST = 5

Present = npt.NDArray[np.bool_]
"""(texts, labels): which labels each text has, or is given."""


@dataclass(frozen=True)
class LabelScore:
    """How well one label is found."""

    label: int
    """Its position."""
    texts: int
    """That have it."""
    precision: float
    """Share of the texts it is given to that have it; 0 where it is given to none."""
    recall: float
    """Share of the texts that have it that it is given to; 0 where none has it."""
    f1: float
    """Their harmonic mean."""


@dataclass(frozen=True)
class SeveralEvaluation:
    """Measures of one set of predictions; shares from 0 to 1."""

    n: int
    """Texts."""
    micro_f1: float
    """Of all pairs of text and label."""
    micro_interval: tuple[float, float]
    """Its 95 % interval, by a bootstrap over texts."""
    macro_f1: float
    """Mean F1 of the labels that occur among the texts or the predictions."""
    macro_interval: tuple[float, float]
    """Likewise."""
    samples_f1: float
    """Mean F1 of each text's labels; 1 where it has none and is given none."""
    exact_match: float
    """Share of texts that are given just the labels that they have."""
    labels: tuple[LabelScore, ...]
    """Of each label."""

    @property
    def worst(self) -> list[LabelScore]:
        """The labels of the lowest F1 among those that occur, worst first, at most five."""
        occur = [score for score in self.labels if score.texts]
        return sorted(occur, key=lambda score: (score.f1, -score.texts))[:_WORST]


def evaluate_several(predicted: npt.ArrayLike, truth: npt.ArrayLike, seed: int = 0) -> SeveralEvaluation:
    """Measure predictions against the truth.

    Args:
        predicted: (texts, labels), 1 or True where a text is given a label.
        truth: (texts, labels), where it has it.
        seed: of the bootstrap.

    Raises:
        InputError: the shapes do not match, or there is no text.
    """
    given, there = np.asarray(predicted, dtype=bool), np.asarray(truth, dtype=bool)
    if given.ndim != 2 or not given.size or given.shape != there.shape:
        raise InputError(
            f"Predictions of shape {given.shape} and labels of shape {there.shape} do not match; "
            "give (texts, labels) both times, with at least one text."
        )
    right, sizes = given & there, given.astype(np.int64) + there
    micro, by_label = f1_scores(given, there.astype(np.int64))
    of_text = np.where(sizes.sum(axis=1) == 0, 1.0, 2 * right.sum(axis=1) / np.maximum(1, sizes.sum(axis=1)))
    micros, macros = _bootstrap(right, sizes, seed)
    occurs = sizes.any(axis=0)
    shares = (right.sum(axis=0) / np.maximum(1, x.sum(axis=0)) for x in (given, there))
    columns = (there.sum(axis=0), *shares, by_label)
    return SeveralEvaluation(
        n=len(there),
        micro_f1=float(micro),
        micro_interval=_interval(micros),
        macro_f1=float(by_label[occurs].mean()) if occurs.any() else 0.0,
        macro_interval=_interval(macros),
        samples_f1=float(of_text.mean()),
        exact_match=float((given == there).all(axis=1).mean()),
        labels=tuple(LabelScore(label, *(x[label].item() for x in columns)) for label in range(there.shape[1])),
    )


def _bootstrap(
    right: Present, sizes: npt.NDArray[np.int64], seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Micro and macro F1 of texts drawn with replacement, so often."""
    generator = numpy_generator(seed, "bootstrap over texts")
    both = np.concatenate([right, sizes], axis=1).astype(np.float64)
    micros, macros = np.empty(_DRAWS), np.empty(_DRAWS)
    for draw in range(_DRAWS):
        drawn = generator.multinomial(len(both), np.full(len(both), 1 / len(both)))
        found, size = np.split(drawn @ both, 2)
        micros[draw] = 2 * found.sum() / max(1.0, size.sum())
        occurs = size > 0
        macros[draw] = np.mean(2 * found[occurs] / size[occurs]) if occurs.any() else 0.0
    return micros, macros


def _interval(draws: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    return low, high


@dataclass(frozen=True)
class SeveralLabelsEvaluation:
    """Measures of a committee that gives several labels a text."""

    labels: tuple[str, ...]
    """Names of the labels."""
    committee: SeveralEvaluation
    """Of the vote, with that of the linear n-gram classifier, if there is one, at the committee's thresholds."""
    members: tuple[float, ...]
    """Micro F1 of each member at those thresholds."""
    members_alone: float
    """Micro F1 of the vote of all members without the linear n-gram classifier, likewise."""
    disagreement: float
    """Mean over texts of the mutual information between member and prediction, summed over labels, in nats."""
    ngrams: float | None = None
    """Micro F1 of the linear n-gram classifier, likewise, if there is one."""
    truncated: int = 0
    """Texts that go on after what was read of them."""

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The measures for people."""
        vote = self.committee
        lines = [
            f"micro F1 {vote.micro_f1:.1%} (95 % interval {_shown(vote.micro_interval)}), "
            f"macro F1 {vote.macro_f1:.1%} ({_shown(vote.macro_interval)}) on {vote.n:,} texts",
            f"F1 a text {vote.samples_f1:.1%}, all labels right {vote.exact_match:.1%}",
        ]
        if len(self.members) > 1:
            members = ", ".join(f"{f1:.1%}" for f1 in self.members)
            lines.append(f"micro F1 of each member {members}; mean disagreement {self.disagreement:.3f} nats")
        if self.ngrams is not None:
            lines.append(
                f"micro F1 of the members alone {self.members_alone:.1%}, "
                f"of the linear n-gram classifier that votes with them {self.ngrams:.1%}"
            )
        lines.append("labels found worst:")
        for score in vote.worst:
            found = f"F1 {score.f1:.1%}, precision {score.precision:.1%}, recall {score.recall:.1%}"
            lines.append(f"  {self.labels[score.label]}: {found}, {score.texts} texts")
        return lines

    def lines_by_label(self) -> list[str]:
        """Precision, recall, F1 and texts of each label, as a table."""
        return label_lines(self.labels, [(of.precision, of.recall, of.f1, of.texts) for of in self.committee.labels])

    def as_json(self) -> dict[str, Any]:
        """The measures for programs, whose keys stay."""
        vote = self.committee
        return {
            **{name: value for name, value in asdict(vote).items() if name != "labels"},
            "members": self.members,
            "members_alone": self.members_alone,
            "disagreement": self.disagreement,
            "ngrams": self.ngrams,
            "truncated": self.truncated,
            "labels": [{**asdict(score), "label": self.labels[score.label]} for score in vote.labels],
        }


def _shown(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"
