"""What came of an export: where it is, how far it is from the trained model, and what quantisation costs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinylm.committee.thresholds import f1_scores
from tinylm.evaluation.out_of_fold import OutOfFoldExamples
from tinylm.runtime.artefact import WeightPrecision
from tinylm.runtime.classifier import Classifier


@dataclass(frozen=True)
class AccuracyDrop:
    """What quantised weights cost on labelled text."""

    precision: WeightPrecision
    """Of the quantised weights."""
    texts: int
    """How many were classified."""
    float32: float
    """Accuracy of the float32 weights, 0 to 1."""
    quantized: float
    """Accuracy of the quantised weights, 0 to 1."""
    changed: int
    """Texts that get another label, or other labels."""
    origin: str
    """Of the texts: held out of training, or of a task that the model may or may not have learnt."""
    measure: str = "accuracy"
    """What stands in for it where a text may have several labels: micro F1."""

    @property
    def other(self) -> str:
        """What the texts that changed got."""
        return "another label" if self.measure == "accuracy" else "other labels"

    @property
    def points(self) -> float:
        """Accuracy lost, in percentage points; negative where some was gained."""
        return 100 * (self.float32 - self.quantized)


@dataclass(frozen=True)
class ExportReport:
    """What was exported."""

    folder: Path
    """The artefact."""
    precision: WeightPrecision
    """Of its weights."""
    size: int
    """Of its files, in bytes."""
    difference: float
    """The largest between a probability of its float32 graph and of torch."""
    drop: AccuracyDrop | None
    """Of quantised weights, where they were requested; they are kept where `precision` is the same as theirs."""

    def lines(self) -> list[str]:
        """What was exported, and how it compares with the trained model, for people."""
        lines = [
            f"{self.folder}: {self.precision}, {self.size / 1e6:.1f} MB",
            f"float32 is within {self.difference:.0e} of the trained model's probabilities",
        ]
        if self.drop is not None:
            drop = self.drop
            lines.append(
                f"{drop.measure} on {drop.texts:,} texts {drop.origin}: {drop.float32:.2%} in float32, "
                f"{drop.quantized:.2%} in {drop.precision}, "
                f"{abs(drop.points):.2f} points {'more' if drop.points < 0 else 'less'}; "
                f"{drop.changed:,} texts get {drop.other}"
            )
        return lines


def accuracy_drop(
    float32: Classifier, quantized: Classifier, precision: WeightPrecision, labelled: OutOfFoldExamples
) -> AccuracyDrop:
    """Measure what quantised weights cost on labelled text."""
    before, after = (labelled.predictions(committee) for committee in (float32, quantized))
    labels = labelled.examples.labels
    if float32.voting.several:
        return AccuracyDrop(
            precision=precision,
            texts=len(labels),
            float32=f1_scores(before == 1, labels)[0],
            quantized=f1_scores(after == 1, labels)[0],
            changed=int(np.count_nonzero((before != after).any(axis=1))),
            origin=labelled.origin,
            measure="micro F1",
        )
    return AccuracyDrop(
        precision=precision,
        texts=len(labels),
        float32=float(np.mean(before == labels)),
        quantized=float(np.mean(after == labels)),
        changed=int(np.count_nonzero(before != after)),
        origin=labelled.origin,
    )
