"""Masked language modelling (Devlin et al., 2019, section 3.1)."""

from torch import Tensor

from tinylm.model.heads import MaskedLanguageModel
from tinylm.model.losses import cross_entropy_sum
from tinylm.train.batch import Targets
from tinylm.train.masking import IGNORED, Masking, mask_sequences
from tinylm.train.objectives.base import Draw, HiddenStates, Objective, Prepared, TokenStatistics


class MaskedTokens(Objective):
    """Predict masked tokens, among the whole vocabulary.

    Args:
        weight: of the term in the loss.
        probability: share of the tokens that are masked.
        statistics: of the corpus.
    """

    name = "mlm"
    from_cls = False
    dense_embedding_gradient = True

    def __init__(self, weight: float, probability: float, statistics: TokenStatistics) -> None:
        self.weight = weight
        self._masking = Masking(rate=probability)
        self._statistics = statistics

    def prepare(self, ids: Tensor, draw: Draw) -> Prepared:
        """Masked sequences; the targets are (sequences, masked) tokens, `IGNORED` where a sequence has fewer."""
        tokenizer = self._statistics.tokenizer
        special_ids, generator = self._statistics.special_ids, draw.generator("masks")
        masked = mask_sequences(ids, special_ids, self._masking, tokenizer.mask_id, tokenizer.vocab_size, generator)
        return Prepared(masked.targets, masked)

    def term(self, model: MaskedLanguageModel, hidden: HiddenStates, targets: Tensor | Targets) -> Tensor:
        """Sum of the cross-entropies of the masked tokens."""
        assert isinstance(targets, Tensor)
        assert hidden.masked is not None
        states, ids = hidden.masked.flatten(0, 1), targets.flatten()
        if not states.is_cuda:
            # A GPU would be waited for, and would be given another shape in every batch, to leave out a few rows.
            real = ids != IGNORED
            states, ids = states[real], ids[real]
        logits = model.head(states, model.encoder.embeddings.word)
        return cross_entropy_sum(logits, ids)
