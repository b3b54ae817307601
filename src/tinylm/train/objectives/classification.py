"""Predicting the class of a text: from labels, or from the probabilities of another model."""

from torch import Tensor
from torch.nn import functional


class ClassPrediction:
    """Cross-entropy with labels, or with soft targets (distillation at temperature 1, Hinton et al., 2015, section 2).

    Args:
        name: of its term.
        label_smoothing: share of each target that is given to all classes alike (Szegedy et al., 2016, section 7).
    """

    def __init__(self, name: str, label_smoothing: float = 0.0) -> None:
        self.name = name
        self._label_smoothing = label_smoothing

    def term(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Sum of the cross-entropies (nats).

        Args:
            logits: (texts, classes).
            targets: (texts,) classes, or (texts, classes) probabilities.
        """
        return functional.cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=self._label_smoothing)
