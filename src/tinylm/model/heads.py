"""What stands on the encoder: the masked-token head and the classification head, each with its whole model.

Names and arithmetic are those of BERT (Devlin et al., 2019), so that checkpoints pass to and from `transformers`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinylm.core.seeds import torch_generator
from tinylm.model.config import ModelConfig
from tinylm.model.encoder import Embeddings, Encoder, dropout
from tinylm.model.losses import cross_entropy_sum

IGNORED = -100
"""The target of a read position that only fills up its row."""

_TEMPERATURE = 0.05


@dataclass(frozen=True)
class BagOfWordsTargets:
    """The words of a text that its [CLS] is asked for, in no order.

    Attributes:
        ids: (batch, tokens) token ids, or positions in the sample if there is one.
        weights: (batch, tokens) how much each counts in the loss.
        sample: the part of the vocabulary that is guessed among, or None for all of it.
    """

    ids: Tensor
    weights: Tensor
    sample: "SampledVocabulary | None" = None


@dataclass(frozen=True)
class SampledVocabulary:
    """Words drawn from the vocabulary, so that a softmax over them stands for one over all (Jean et al., 2015).

    Attributes:
        ids: (n,) token ids.
        log_sampling_prob: (n,) logarithm of the chance that each had to be drawn.
    """

    ids: Tensor
    log_sampling_prob: Tensor


class MaskedTokenHead(nn.Module):
    """Dense, GELU, norm, then a projection on the vocabulary through the word embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_epsilon)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, word_embedding: Tensor) -> Tensor:
        """(n, width) and (vocabulary, width) to logits (n, vocabulary)."""
        return functional.linear(self.transform(hidden), word_embedding, self.bias)

    def sampled(self, hidden: Tensor, embeddings: Embeddings, sample: SampledVocabulary) -> Tensor:
        """(n, width) to logits (n, words of the sample), each corrected by its chance to be in it."""
        ids = sample.ids.to(hidden.device)
        words = functional.embedding(ids, embeddings.word, sparse=embeddings.sparse)
        return functional.linear(
            self.transform(hidden), words, self.bias[ids] - sample.log_sampling_prob.to(hidden.device)
        )

    def transform(self, hidden: Tensor) -> Tensor:
        """What is multiplied with the embedding: (n, width) to (n, width)."""
        transformed: Tensor = self.norm(functional.gelu(self.dense(hidden)))
        return transformed


class MaskedLanguageModel(nn.Module):
    """An encoder that guesses masked tokens."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.head = MaskedTokenHead(config)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None,
        reads: Tensor | None,
        targets: Tensor | None,
        bag: BagOfWordsTargets | None = None,
        *,
        contrast: bool = False,
        rate: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The terms of the loss (nats), those that are asked for, in this order.

        - hidden tokens: the sum of the cross-entropies over the read positions that have a target;
        - words: the sum of the cross-entropies of the words in the bag, times their weights;
        - contrast: the sum of the cross-entropies of telling which of the rows that may be its neighbour a row's
          neighbour is. Rows 2i and 2i + 1 are neighbours, the former choose among the latter and the latter among
          the former, by the cosine of their [CLS] over 0.05 (InfoNCE, van den Oord et al., 2018, equation 4).

        Args:
            ids: (batch, tokens), masked.
            mask: (batch, tokens) bool or None; see `Encoder`.
            reads: (batch, reads) masked positions, or None where no token is hidden.
            targets: (batch, reads) the tokens that stood there, `IGNORED` where a row has fewer; None
                without `reads`.
            bag: the words that [CLS] is asked for, or None.
            contrast: whether [CLS] is asked for its neighbour.
            rate: dropout.
            generator: where dropout draws from.

        Returns:
            (terms,), one to three.
        """
        word = self.encoder.embeddings.word
        asked = bag is not None or contrast
        first = torch.zeros(len(ids), int(asked), dtype=torch.long, device=ids.device)
        read = first if reads is None else torch.cat((first, reads), dim=1)
        hidden = self.encoder(ids, mask, read, rate=rate, generator=generator)
        terms = []
        if reads is not None:
            assert targets is not None
            real = targets != IGNORED
            terms.append(cross_entropy_sum(self.head(hidden[:, int(asked) :][real], word), targets[real]))
        if bag is not None:
            cls, sample = hidden[:, 0], bag.sample
            logits = self.head(cls, word) if sample is None else self.head.sampled(cls, self.encoder.embeddings, sample)
            guessed = logits.float().log_softmax(1).gather(1, bag.ids)
            terms.append(-(guessed * bag.weights).sum())
        if contrast:
            terms.append(contrast_sum(hidden[:, 0]))
        return torch.stack(terms)


def contrast_sum(cls: Tensor) -> Tensor:
    """The sum of the cross-entropies (nats) of finding each row's neighbour; see `MaskedLanguageModel.forward`.

    Args:
        cls: (batch, width), rows 2i and 2i + 1 neighbours.
    """
    # In bfloat16 a cosine over 0.05 is off by up to 0.06.
    with torch.autocast(cls.device.type, enabled=False):
        directions = functional.normalize(cls.float(), dim=1)
        similar = directions[0::2] @ directions[1::2].T / _TEMPERATURE
    partners = torch.arange(len(similar), device=cls.device)
    return functional.cross_entropy(similar, partners, reduction="sum") + functional.cross_entropy(
        similar.T, partners, reduction="sum"
    )


class SequenceClassifier(nn.Module):
    """An encoder whose [CLS] is pooled and classified."""

    def __init__(self, config: ModelConfig, labels: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, labels)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None,
        *,
        rate: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Ids (batch, tokens) to class logits (batch, labels)."""
        first = torch.zeros(len(ids), 1, dtype=torch.long, device=ids.device)
        hidden = self.encoder(ids, mask, first, rate=rate, generator=generator)[:, 0]
        pooled = torch.tanh(self.pooler(hidden))
        logits: Tensor = self.classifier(dropout(pooled, rate, generator))
        return logits


def initialise(model: nn.Module, seed: int) -> None:
    """Draw all weights anew: matrices and embeddings from N(0, 0.02^2), biases 0, norms 1 (Devlin et al., 2019).

    Each tensor has a generator named after it, so a tensor does not change when another is added.
    """
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.02, generator=torch_generator(seed, f"weights/{name}"))
            elif "norm" in name and name.endswith("weight"):
                parameter.fill_(1.0)
            else:
                parameter.zero_()
