"""Predicting the class of a text, or its several labels: from labels, or from the probabilities of another model."""

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


class LabelsPrediction:
    """Binary cross-entropy of each label, where a text may have several: the loss of `transformers` for such a problem.

    Args:
        name: of its term.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def term(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Sum over texts of the mean cross-entropy of their labels (nats), each times the weight of its text.

        Args:
            logits: (texts, labels).
            targets: (texts, labels), 0 or 1, or probabilities.
            weights: (texts,); all 1 when None.
        """
        wide = logits.float()
        each = functional.binary_cross_entropy_with_logits(wide, targets.to(wide), reduction="none").mean(dim=1)
        return each.sum() if weights is None else each @ weights
