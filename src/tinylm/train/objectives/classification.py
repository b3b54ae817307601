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

    def term(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Sum of the cross-entropies (nats), each times the weight of its text.

        Args:
            logits: (texts, classes).
            targets: (texts,) classes, or (texts, classes) probabilities.
            weights: (texts,); all 1 when None.
        """
        smoothing = self._label_smoothing
        if weights is None:
            return functional.cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=smoothing)
        each = functional.cross_entropy(logits.float(), targets, reduction="none", label_smoothing=smoothing)
        return each @ weights
