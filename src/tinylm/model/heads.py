"""What stands on the encoder: the masked-token head and the classification head, each with its whole model.

Names and arithmetic are those of BERT (Devlin et al., 2019), so that checkpoints pass to and from `transformers`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinylm.core.problems import ONE_LABEL, ProblemType
from tinylm.core.seeds import torch_generator
from tinylm.model.config import ModelConfig
from tinylm.model.encoder import Embeddings, Encoder, dropout


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

    def sampled(self, hidden: Tensor, embeddings: Embeddings, ids: Tensor, log_sampling_prob: Tensor) -> Tensor:
        """Logits of a sample of the vocabulary, each corrected by its probability to be in it (logQ correction).

        Args:
            hidden: (n, width).
            embeddings: of the encoder.
            ids: (sample,) token ids.
            log_sampling_prob: (sample,) or (1,).

        Returns:
            (n, sample).
        """
        ids = ids.to(hidden.device)
        words = functional.embedding(ids, embeddings.word, sparse=embeddings.sparse)
        bias = self.bias[ids] - log_sampling_prob.to(hidden.device)
        return functional.linear(self.transform(hidden), words, bias)

    def transform(self, hidden: Tensor) -> Tensor:
        """What is multiplied with the embedding: (n, width) to (n, width)."""
        transformed: Tensor = self.norm(functional.gelu(self.dense(hidden)))
        return transformed


class MaskedLanguageModel(nn.Module):
    """An encoder that predicts masked tokens."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.head = MaskedTokenHead(config)

    def forward(self, ids: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        """Logits at some positions, without dropout.

        Args:
            ids: (batch, tokens).
            mask: (batch, tokens) bool or None; see `Encoder`.
            positions: (batch, n) positions that are predicted.

        Returns:
            (batch, n, vocabulary).
        """
        return self.head(self.encoder(ids, mask, positions), self.encoder.embeddings.word)  # type: ignore[no-any-return]


class SequenceClassifier(nn.Module):
    """An encoder whose [CLS] is pooled and classified."""

    def __init__(self, config: ModelConfig, labels: int, problem_type: ProblemType = ONE_LABEL) -> None:
        super().__init__()
        self.config, self.problem_type = config, problem_type
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

    Vectors of bigrams are zero. Each tensor has a generator named after it, so a tensor does not change when another
    is added.
    """
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if name.endswith("bigrams.table"):
                parameter.zero_()
            elif parameter.ndim > 1:
                parameter.normal_(0.0, 0.02, generator=torch_generator(seed, f"weights/{name}"))
            elif "norm" in name and name.endswith("weight"):
                parameter.fill_(1.0)
            else:
                parameter.zero_()
