"""How good a committee is on labelled text: its measures, those of its members, and of every smaller committee."""

from dataclasses import dataclass

import numpy as np

from tinylm.committee import voting
from tinylm.evaluation import metrics
from tinylm.runtime.classifier import Classifier
from tinylm.text.splits import Examples


@dataclass(frozen=True)
class CommitteeEvaluation:
    """Measures of a committee."""

    committee: metrics.Evaluation
    """Of the vote."""
    members: tuple[float, ...]
    """Accuracy of each member, 0 to 1."""
    sizes: tuple[voting.SizeAccuracy, ...]
    """Accuracy of committees of 1, 2, ... all members, mean over subsets."""
    disagreement: float
    """Mean mutual information between member and prediction, in nats."""


def evaluate_committee(committee: Classifier, examples: Examples) -> CommitteeEvaluation:
    """Measure a committee on examples whose labels are positions in `committee.labels`."""
    votes = committee.votes(examples.texts)
    return CommitteeEvaluation(
        committee=metrics.evaluate(voting.vote(votes, committee.vote), examples.labels),
        members=tuple(float(np.mean(vote.argmax(1) == examples.labels)) for vote in votes),
        sizes=tuple(voting.accuracy_by_size(votes, examples.labels, committee.vote)),
        disagreement=float(voting.disagreement(votes).mean()),
    )
