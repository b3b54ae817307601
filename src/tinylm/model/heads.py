"""What stands on the encoder: the masked-token head and the classification head, each with its whole model.

Names and arithmetic are those of BERT (Devlin et al., 2019), so that checkpoints pass to and from `transformers`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinylm.model.config import ModelConfig
from tinylm.model.cross_entropy import cross_entropy_sum
from tinylm.model.encoder import Encoder, dropout
from tinylm.seeds import torch_generator

IGNORED = -100
"""The target of a read position that only fills up its row."""


@dataclass(frozen=True)
class Bag:
    """The words of a text that its [CLS] is asked for, in no order.

    Attributes:
        ids: (batch, tokens) token ids.
        weights: (batch, tokens) how much each counts in the loss.
    """

    ids: Tensor
    weights: Tensor


class MaskedTokenHead(nn.Module):
    """Dense, GELU, norm, then a projection on the vocabulary through the word embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_epsilon)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, word_embedding: Tensor) -> Tensor:
        """(n, width) and (vocabulary, width) to logits (n, vocabulary)."""
        x = self.norm(functional.gelu(self.dense(hidden)))
        return functional.linear(x, word_embedding, self.bias)


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
        reads: Tensor,
        targets: Tensor,
        bag: Bag | None = None,
        *,
        rate: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The terms of the loss (nats): the sum of the cross-entropies over the read positions that have a target.

        With a bag there is a second term: the weighted sum of the cross-entropies of its words.

        Args:
            ids: (batch, tokens), masked.
            mask: (batch, tokens) bool or None; see `Encoder`.
            reads: (batch, reads) masked positions.
            targets: (batch, reads) the tokens that stood there, `IGNORED` where a row has fewer.
            bag: what [CLS] is asked for; None does not read it.
            rate: dropout.
            generator: where dropout draws from.

        Returns:
            (1,), or (2,) with a bag.
        """
        if bag is not None:
            reads = torch.cat((torch.zeros_like(reads[:, :1]), reads), dim=1)
        hidden = self.encoder(ids, mask, reads, rate=rate, generator=generator)
        real = targets != IGNORED
        word = self.encoder.embeddings.word
        if bag is None:
            logits = self.head(hidden[real], word)
            return cross_entropy_sum(logits, targets[real])[None]
        logits = self.head(torch.cat((hidden[:, 0], hidden[:, 1:][real])), word)
        words, tokens = torch.split(logits, [len(ids), len(logits) - len(ids)])
        guessed = words.float().log_softmax(1).gather(1, bag.ids)
        return torch.stack((cross_entropy_sum(tokens, targets[real]), -(guessed * bag.weights).sum()))


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
