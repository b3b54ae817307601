"""The encoder: embeddings, layers, and the two ways of computing only what is read.

A transformer computes every position of every layer; the loss or the answer reads few of them. Given *read
positions*, the last layer makes queries, attention outputs, feed-forward and norms for those alone:

- readout: keys and values for all tokens, everything else for the read ones;
- fold: the key and value projections move off the tokens too. For a read vector x_r and head n of width d,

      u_n   = W_k,n^T (W_q,n x_r + b_q,n) / sqrt(d)      (the key bias cancels in the softmax)
      a_t,n = softmax_t(u_n . x_t)
      c_n   = sum_t a_t,n x_t
      o_n   = W_v,n c_n + b_v,n                          (the weights sum to 1)

Both give the outputs and gradients of computing everything and picking rows, to rounding. There is no dropout on
attention probabilities: it would break the sum to 1.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinylm.model.bigrams import BigramEmbeddings
from tinylm.model.characters import CharacterEmbeddings
from tinylm.model.config import ModelConfig

_SHORT = 256
"""Sequences of at most so many tokens are attended to without the fused kernel, where that is faster."""


def dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Dropout from a named generator; without one, nothing is dropped.

    One random byte decides on a feature, eight of them drawn at once, so the rate is that multiple of 1/256 which is
    nearest. On a CPU this is two to five times as fast as one Bernoulli draw a feature.
    """
    threshold = round(256 * rate)
    if generator is None or threshold == 0:
        return x
    eights = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    # From the smallest integer up, so that every bit of every byte is random.
    noise = eights.random_(-(2**63), None, generator=generator).view(torch.uint8)[: x.numel()].view(x.shape)
    return x * (noise >= threshold).to(x.dtype).mul_(256 / (256 - threshold))


def gather_positions(x: Tensor, reads: Tensor) -> Tensor:
    """Rows of x (batch, tokens, width) at reads (batch, reads): (batch, reads, width)."""
    return x.gather(1, reads[:, :, None].expand(-1, -1, x.shape[2]))


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention: (batch, heads, tokens, width) each; the mask is true where a token is real.

    In bfloat16 on a CPU, torch's fused kernel takes three times as long as the plain products on 128 tokens
    (its backward four times). They keep all scores, which is little as long as sequences are short.
    """
    if q.dtype == torch.bfloat16 and q.device.type == "cpu" and k.shape[2] <= _SHORT:
        scores = torch.matmul(q / math.sqrt(q.shape[3]), k.transpose(2, 3))
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        return torch.matmul(scores.softmax(-1), v)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def fold_is_cheaper(config: ModelConfig, tokens: int, reads: int) -> bool:
    """Whether folding takes fewer multiply-adds than readout, for one sequence.

    Readout pays 2 H^2 a token for keys and values and 2 H a (token, read) for attention; the fold pays 2 H a
    (token, read, head), and 2 H^2 more a read.
    """
    width = config.hidden_size
    readout = 2 * tokens * width * width + 2 * tokens * reads * width
    fold = 2 * reads * width * width + 2 * tokens * reads * config.heads * width
    return fold < readout


class Embeddings(nn.Module):
    """Word, position, segment and bigram embeddings, summed and normed.

    Attributes:
        bigrams: None where the model has none.
        characters: of a model that is being fine-tuned, perhaps; see `merge_characters`.
        sparse: make the gradient of the word embedding sparse, where only the lookup uses it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.word = nn.Parameter(torch.empty(config.vocab_size, config.hidden_size))
        self.position = nn.Parameter(torch.empty(config.positions, config.hidden_size))
        self.token_type = nn.Parameter(torch.empty(config.token_types, config.hidden_size))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_epsilon)
        self.bigrams = (
            BigramEmbeddings(config.bigrams, config.vocab_size, config.hidden_size) if config.bigrams else None
        )
        self.characters: CharacterEmbeddings | None = None
        self.sparse = False

    def merge_characters(self) -> None:
        """Add the character embeddings to the words', which leaves a model that computes the same without them."""
        if self.characters is not None:
            with torch.no_grad():
                of_pieces = self.characters.every()
                self.word[: len(of_pieces)] += of_pieces
            self.characters = None

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Ids and mask (batch, tokens) to vectors (batch, tokens, width)."""
        summed = functional.embedding(ids, self.word, sparse=self.sparse)
        if self.characters is not None:
            summed = summed + self.characters(ids)
        summed = summed + self.position[: ids.shape[1]] + self.token_type[0]
        if self.bigrams is not None:
            summed = summed + self.bigrams(ids, mask)
        output: Tensor = self.norm(summed)
        return output


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., 2017) with its residual and norm, at some or all positions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=config.norm_epsilon)

    def forward(self, x: Tensor, mask: Tensor | None, reads: Tensor | None) -> tuple[Tensor, Tensor]:
        """What attention adds, and the vectors it is added to.

        Args:
            x: (batch, tokens, width).
            mask: (batch, tokens), true where a token is real; None where all are.
            reads: (batch, reads) positions; None for every position.

        Returns:
            Two tensors (batch, reads or tokens, width).
        """
        if reads is None:
            return self.output(self.attend(x, x, mask)), x
        read = gather_positions(x, reads)
        cheaper = fold_is_cheaper(self.config, x.shape[1], reads.shape[1])
        attended = self.fold(read, x, mask) if cheaper else self.attend(read, x, mask)
        return self.output(attended), read

    def attend(self, read: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attention with keys and values made for every token: (batch, reads, width)."""
        # B texts, R reads, T tokens, H features in N heads of D. q is (B, N, R, D), k and v are (B, N, T, D).
        q, k, v = (self._split(p(y)) for p, y in ((self.query, read), (self.key, x), (self.value, x)))
        keys = None if mask is None else mask[:, None, None, :]  # (B, 1, 1, T)
        return attention(q, k, v, keys).transpose(1, 2).flatten(2)  # (B, R, H)

    def fold(self, read: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        """The same, with the key and value projections applied to the read side: (batch, reads, width)."""
        # B texts, R reads, T tokens, H features in N heads of D; the formulas are at the top of this file.
        batch, reads, width = read.shape
        heads, size = self.config.heads, self.config.head_size
        query = self.query(read).view(batch * reads, heads, size).transpose(0, 1)  # (N, BR, D)
        key = self.key.weight.view(heads, size, width)  # (N, D, H)
        folded = torch.bmm(query, key.to(query.dtype)).transpose(0, 1)  # u: (BR, N, H)
        folded = folded.reshape(batch, reads * heads, width)  # (B, RN, H)
        scores = torch.bmm(folded, x.to(folded.dtype).transpose(1, 2))  # (B, RN, T)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) / math.sqrt(size)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, :], -math.inf)
        weights = scores.softmax(-1).to(folded.dtype)
        context = torch.bmm(weights, x.to(folded.dtype))  # c: (B, RN, H)
        context = context.view(batch * reads, heads, width).transpose(0, 1)  # (N, BR, H)
        value = self.value.weight.view(heads, size, width).transpose(1, 2)  # (N, H, D)
        attended = torch.bmm(context, value.to(context.dtype)).transpose(0, 1)  # o: (BR, N, D)
        attended = attended.reshape(batch, reads, width)  # (B, R, H)
        # The key bias cancels: its gradient is zero, not absent, so that both ways train the same parameters.
        return attended + (self.value.bias + 0.0 * self.key.bias)

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, H) to (B, N, T, D)."""
        return x.view(*x.shape[:2], self.config.heads, self.config.head_size).transpose(1, 2)


class Layer(nn.Module):
    """Attention and feed-forward, each with a residual and a norm after it (post-norm, as BERT)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output = nn.Linear(config.intermediate_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_epsilon)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        reads: Tensor | None,
        rate: float,
        generator: torch.Generator | None,
    ) -> Tensor:
        """(batch, tokens, width) to (batch, reads or tokens, width)."""
        attended, residual = self.attention(x, mask, reads)
        x = self.attention.norm(residual + dropout(attended, rate, generator))
        expanded = self.output(functional.gelu(self.intermediate(x)))
        output: Tensor = self.norm(x + dropout(expanded, rate, generator))
        return output


class FrontEndModule(nn.Module):
    """The modules of the configured front-end, by the names that it gives them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._front_end = config.front_end
        for name, module in config.front_end.modules(config).items():
            self.add_module(name, module)

    def forward(self, x: Tensor, ids: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, H), (B, T) and (B, T) to (B, T, H); see `FrontEnd.forward`."""
        return self._front_end.forward(self._modules, x, ids, mask)


class Encoder(nn.Module):
    """Embeddings, front-end, layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.front_end = FrontEndModule(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        reads: Tensor | None = None,
        *,
        rate: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Hidden states of the last layer.

        Args:
            ids: (batch, tokens) token ids, at most `config.positions` tokens.
            mask: (batch, tokens) bool, true where a token is real; None where all are.
            reads: (batch, reads) positions wanted; None computes and returns every position.
            rate: dropout on embeddings and on what attention and feed-forward add.
            generator: where dropout draws from; None drops nothing.

        Returns:
            (batch, reads, width), or (batch, tokens, width) without `reads`.
        """
        x: Tensor = dropout(self.embeddings(ids, mask), rate, generator)
        x = self.front_end(x, ids, mask)
        last = len(self.layers) - 1
        for depth, layer in enumerate(self.layers):
            x = layer(x, mask, reads if depth == last else None, rate, generator)
        return x
