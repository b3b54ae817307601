"""How good a committee is on labelled text: its measures, those of its members, and of every smaller committee."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinylm.committee import voting
from tinylm.committee.thresholds import f1_scores
from tinylm.evaluation import metrics
from tinylm.evaluation.several import SeveralLabelsEvaluation, evaluate_several
from tinylm.runtime.classifier import Classifier
from tinylm.text.splits import Examples


@dataclass(frozen=True)
class CommitteeEvaluation:
    """Measures of a committee."""

    labels: tuple[str, ...]
    """Names of the labels."""
    committee: metrics.Evaluation
    """Of the vote, with that of the linear n-gram classifier, if there is one."""
    members: tuple[float, ...]
    """Accuracy of each member, 0 to 1."""
    sizes: tuple[voting.SizeAccuracy, ...]
    """Accuracy of committees of 1, 2, ... all members, mean over subsets."""
    disagreement: float
    """Mean mutual information between member and prediction, in nats."""
    ngrams: float | None = None
    """Accuracy of the linear n-gram classifier, 0 to 1, if there is one."""
    truncated: int = 0
    """Texts that go on after what was read of them."""

    @property
    def members_alone(self) -> float:
        """Accuracy of the vote of all members without the linear n-gram classifier, 0 to 1."""
        return self.sizes[-1].mean

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The measures for people."""
        vote = self.committee
        low, high = vote.interval
        lines = [
            f"accuracy {vote.accuracy:.1%} (95 % interval {low:.1%} to {high:.1%}) on {vote.n:,} texts",
            f"macro F1 {vote.macro_f1:.3f}, expected calibration error {vote.expected_calibration_error:.3f}",
        ]
        if len(self.members) > 1:
            sizes = ", ".join(f"{size.size}: {size.mean:.1%}" for size in self.sizes)
            lines.append(f"accuracy by number of members {sizes}; mean disagreement {self.disagreement:.3f} nats")
        if self.ngrams is not None:
            lines.append(
                f"accuracy of the members alone {self.members_alone:.1%}, "
                f"of the linear n-gram classifier that votes with them {self.ngrams:.1%}"
            )
        if vote.worst_pairs:
            lines.append("most often confused:")
            lines += [
                f"  {self.labels[p.true]} taken for {self.labels[p.predicted]}: {p.count}" for p in vote.worst_pairs
            ]
        return lines

    def lines_by_label(self) -> list[str]:
        """Precision, recall, F1 and texts of each label, as a table."""
        return metrics.label_lines(
            self.labels, [(of.precision, of.recall, of.f1, of.n) for of in self.committee.by_class]
        )

    def as_json(self) -> dict[str, Any]:
        """The measures for programs, whose keys stay."""
        vote = self.committee
        return {
            "accuracy": vote.accuracy,
            "accuracy_interval": vote.interval,
            "macro_f1": vote.macro_f1,
            "expected_calibration_error": vote.expected_calibration_error,
            "n": vote.n,
            "by_label": {label: asdict(of) for label, of in zip(self.labels, vote.by_class, strict=True)},
            "members": self.members,
            "accuracy_by_size": [asdict(size) for size in self.sizes],
            "disagreement": self.disagreement,
            "ngrams": self.ngrams,
            "truncated": self.truncated,
            "worst_pairs": [
                {"true": self.labels[p.true], "predicted": self.labels[p.predicted], "count": p.count}
                for p in vote.worst_pairs
            ],
        }


def measure_committee(committee: Classifier, examples: Examples) -> CommitteeEvaluation | SeveralLabelsEvaluation:
    """Measure a committee on examples whose labels are positions in `committee.labels`: one a text, or several."""
    if committee.voting.several:
        return evaluate_several_labels(committee, examples)
    return evaluate_committee(committee, examples)


def evaluate_several_labels(committee: Classifier, examples: Examples) -> SeveralLabelsEvaluation:
    """Measure a committee that gives a text several labels; those of `examples` are (texts, labels)."""
    predictions = committee.predict_batch(examples.texts)
    votes, ngrams, how = predictions.votes, predictions.ngrams, committee.voting
    least = how.least(len(committee.labels))

    def micro(probabilities: npt.NDArray[np.floating]) -> float:
        return float(f1_scores(probabilities >= least, examples.labels)[0])

    return SeveralLabelsEvaluation(
        labels=committee.labels,
        committee=evaluate_several(voting.vote(votes, how, ngrams) >= least, examples.labels),
        members=tuple(map(micro, votes)),
        members_alone=micro(voting.vote(votes, how)),
        disagreement=float(voting.disagreement(votes, how.problem_type).mean()),
        ngrams=None if ngrams is None else micro(ngrams),
        truncated=int(predictions.truncated.sum()),
    )


def evaluate_committee(committee: Classifier, examples: Examples) -> CommitteeEvaluation:
    """Measure a committee that gives a text one label; those of `examples` are positions in `committee.labels`."""
    predictions = committee.predict_batch(examples.texts)
    votes, ngrams = predictions.votes, predictions.ngrams
    return CommitteeEvaluation(
        labels=committee.labels,
        committee=metrics.evaluate(voting.vote(votes, committee.voting, ngrams), examples.labels),
        members=tuple(float(np.mean(vote.argmax(1) == examples.labels)) for vote in votes),
        sizes=tuple(voting.accuracy_by_size(votes, examples.labels, committee.voting.vote)),
        disagreement=float(voting.disagreement(votes).mean()),
        ngrams=None if ngrams is None else float(np.mean(ngrams.argmax(1) == examples.labels)),
        truncated=int(predictions.truncated.sum()),
    )
