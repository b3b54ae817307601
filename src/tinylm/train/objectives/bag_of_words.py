"""Predicting, from [CLS], the words of a passage and of its neighbour, in no order."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tinylm.core.errors import InputError
from tinylm.model.heads import MaskedLanguageModel
from tinylm.train.batch import Targets
from tinylm.train.objectives.base import Draw, HiddenStates, Objective, Prepared, TokenStatistics

_SMOOTHING = 1e-3
"""Of `word_weights`, as in Arora et al. (2017), section 3."""


@dataclass(frozen=True)
class SampledVocabulary:
    """Words drawn from the vocabulary, so that a softmax over them stands for one over all (Jean et al., 2015)."""

    ids: Tensor
    """(n,) token ids."""
    log_sampling_prob: Tensor
    """(n,) logarithm of the probability that each had to be drawn (logQ correction)."""


@dataclass(frozen=True)
class BagOfWordsTargets:
    """The words that [CLS] is to predict."""

    ids: Tensor
    """(sequences, words) token ids, or positions in the sample if there is one."""
    weights: Tensor
    """(sequences, words) how much each counts in the loss; those of a sequence sum to 1, or to 0 where it has none."""
    sample: SampledVocabulary | None = None
    """The part of the vocabulary that is predicted among, or None for all of it."""

    def each(self, change: Callable[[Tensor], Tensor]) -> "BagOfWordsTargets":
        """See `Targets.each`; the sample is that of the whole batch."""
        return replace(self, ids=change(self.ids), weights=change(self.weights))


class BagOfWords(Objective):
    """Predict the words of the own passage and of the neighbouring one; both share one softmax.

    Args:
        own_weight: of the own words in the loss.
        context_weight: of the neighbour's words.
        statistics: of the corpus.
        sampled: predict among the words of the batch, which takes a tenth of the products and leaves the gradient of
            the word embedding sparse.
    """

    name = "bow"

    def __init__(self, own_weight: float, context_weight: float, statistics: TokenStatistics, *, sampled: bool) -> None:
        self.weight = own_weight + context_weight
        self.needs_pairs = context_weight > 0
        self.dense_embedding_gradient = not sampled
        self._context_share = context_weight / self.weight
        self._sampled = sampled
        self._frequencies = statistics.frequencies
        unknown = torch.tensor([statistics.tokenizer.unk_id])
        self.word_weights = word_weights(statistics, torch.cat((statistics.special_ids, unknown)))
        self._known_words = (self.word_weights * self._frequencies).nonzero()[:, 0]
        if not len(self._known_words):
            raise InputError("the corpus has no word that the vocabulary knows; give other text or another vocabulary")

    def prepare(self, ids: Tensor, draw: Draw) -> Prepared:
        """Words with their weights; of the neighbour's words too where those count."""
        weights = self.word_weights[ids]
        known = weights > 0
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-9)
        sample = self._sample(ids[known], exact=draw.exact) if self._sampled else None
        if sample is not None:
            # What is no word weighs nothing, wherever it points.
            ids = torch.searchsorted(sample.ids, ids).clamp(max=len(sample.ids) - 1)
        share = self._context_share
        if share:
            ids = torch.cat((ids, _neighbours(ids)), dim=1)
            weights = torch.cat(((1 - share) * weights, share * _neighbours(weights)), dim=1)
        return Prepared(BagOfWordsTargets(ids, weights, sample))

    def term(self, model: MaskedLanguageModel, hidden: HiddenStates, targets: Tensor | Targets) -> Tensor:
        """Sum of the cross-entropies of the words, times their weights."""
        assert isinstance(targets, BagOfWordsTargets)
        embeddings, sample = model.encoder.embeddings, targets.sample
        if sample is None:
            logits = model.head(hidden.cls, embeddings.word)
        else:
            logits = model.head.sampled(hidden.cls, embeddings, sample.ids, sample.log_sampling_prob)
        log_probabilities: Tensor = logits.float().log_softmax(1).gather(1, targets.ids)
        return -(log_probabilities * targets.weights).sum()

    def _sample(self, words: Tensor, *, exact: bool) -> SampledVocabulary:
        """The words of a batch, or all words of the corpus."""
        if exact:
            return SampledVocabulary(self._known_words, torch.zeros(1))
        if not len(words):
            # Nothing is predicted; one word keeps the term, 0, a function of the same parameters.
            return SampledVocabulary(self._known_words[:1], torch.zeros(1))
        ids = torch.unique(words)
        probabilities = -torch.expm1(-self._frequencies[ids] * len(words))
        return SampledVocabulary(ids, probabilities.log().float())


def word_weights(statistics: TokenStatistics, special_ids: Tensor) -> Tensor:
    """How much each token counts: a / (a + its frequency), a = 1e-3 (Arora et al., 2017, equation 4).

    Args:
        statistics: of the corpus.
        special_ids: tokens that do not count.

    Returns:
        (vocabulary,) float32, 0 to 1: near 1 for rare tokens, near 0 for the most frequent.
    """
    weights = _SMOOTHING / (_SMOOTHING + statistics.frequencies)
    weights[special_ids] = 0.0
    return weights.float()


def _neighbours(rows: Tensor) -> Tensor:
    """Rows 2i and 2i + 1 in each other's place."""
    return rows.view(len(rows) // 2, 2, -1).flip(1).flatten(0, 1)
