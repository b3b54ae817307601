"""What a network without torch is written in: its arrays, and the operations that work on them.

A network is written once, in `Operations`, and computed in two ways: `runtime/numpy_backend.py` computes with arrays
at once, `exporting/graph.py` writes an ONNX graph. Front-ends and `runtime/forward.py` are written in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

Value = TypeVar("Value")
"""What is computed: an array, or the name of a tensor in a graph."""


@dataclass(frozen=True)
class Linear:
    """An affine map."""

    weight: Array
    """(out, in)"""

    bias: Array
    """(out,)"""


@dataclass(frozen=True)
class Norm:
    """Layer norm over the last axis (Ba et al., 2016)."""

    weight: Array
    """(width,)"""

    bias: Array
    """(width,)"""

    epsilon: float
    """Added to the variance."""


@dataclass(frozen=True, eq=False)
class Bigrams:
    """Listed bigrams and their vectors."""

    codes: npt.NDArray[np.int64]
    """(bigrams,) rising; see `tokens.bigrams.bigram_codes`."""

    table: Array
    """(bigrams + 1, width); the first row is zero, and that of every bigram that is not listed."""

    vocab_size: int
    """That the codes are made with."""


@dataclass(frozen=True)
class TokenBatch(Generic[Value]):
    """Texts as one vocabulary encodes them."""

    ids: Value
    """(B, T) token ids, int64, padded."""

    mask: Value
    """(B, T) 1 where a token is real, 0 where it is padding, int64."""


class Operations(Protocol[Value]):
    """The steps a network is made of. B texts, T tokens, H features, N heads; float32 unless said otherwise."""

    def token_embeddings(self, table: Array, ids: Value) -> Value:
        """Rows of a table (vocabulary, H) at ids (B, T) int64: (B, T, H)."""

    def position_embeddings(self, table: Array, ids: Value) -> Value:
        """The first T rows of a table (positions, H): (T, H)."""

    def bigram_rows(self, codes: npt.NDArray[np.int64], vocab_size: int, ids: Value) -> Value:
        """Where each token and the one before it stand in a list of bigrams, from 1; 0 where they do not.

        Args:
            codes: (bigrams,) rising; see `tokens.bigrams.bigram_codes`.
            vocab_size: that they are made with.
            ids: (B, T).

        Returns:
            (B, T) integers.
        """

    def occurrences(self, rows: Value) -> Value:
        """How often each of some integers (B, T) is among those of its text: (B, T) integers."""

    def lookup(self, values: npt.NDArray[Any], ids: Value) -> Value:
        """Rows of values (n, ...) at ids (B, T), never quantised: (B, T, ...)."""

    def constant(self, values: Array) -> Value:
        """Values of the model itself, never quantised."""

    def norm(self, x: Value, norm: Norm) -> Value:
        """Layer norm over the last axis."""

    def inverse_norm(self, x: Value, epsilon: float) -> Value:
        """1 / sqrt(sum of squares over the last axis + epsilon): x (B, T, H) to (B, 1, T)."""

    def linear(self, x: Value, linear: Linear) -> Value:
        """X (..., in) to (..., out)."""

    def linear_by_head(self, x: Value, weight: Array) -> Value:
        """Each head by a matrix of its own: x (B, N, in), weight (N, out, in) to (B, N, out)."""

    def fixed_scores(self, query: Array, x: Value) -> Value:
        """Products of constant queries (N, H) with every token of x (B, T, H): (B, N, T)."""

    def scores(self, query: Value, x: Value) -> Value:
        """Products of query (..., Q, H) with x (..., T, H): (..., Q, T)."""

    def matmul(self, x: Value, y: Value) -> Value:
        """Matrix product over the last two axes."""

    def add(self, x: Value, y: Value) -> Value:
        """Sum."""

    def multiply(self, x: Value, y: Value) -> Value:
        """Product, element by element."""

    def scale(self, x: Value, factor: float) -> Value:
        """Product with a constant."""

    def log(self, x: Value) -> Value:
        """Natural logarithm of positive numbers."""

    def gelu(self, x: Value) -> Value:
        """X times the normal distribution function of x, exact (by erf)."""

    def tanh(self, x: Value) -> Value:
        """Hyperbolic tangent."""

    def sigmoid(self, x: Value) -> Value:
        """Logistic function."""

    def softmax(self, x: Value) -> Value:
        """Over the last axis."""

    def mean(self, x: Value, *, keep: bool) -> Value:
        """Over the second axis, which becomes 1 or goes."""

    def concatenate(self, values: Sequence[Value]) -> Value:
        """Along the second axis."""

    def reshape(self, x: Value, *shape: int) -> Value:
        """To a shape in which 0 keeps an axis and -1 is what is left."""

    def transpose(self, x: Value, *axes: int) -> Value:
        """With axes in another order."""

    def first(self, x: Value) -> Value:
        """The first token of each text: (B, T, H) to (B, H)."""

    def padding_bias(self, mask: Value) -> Value:
        """0 where a token is real and -inf where it is padding: mask (B, T) int64 to (B, 1, T)."""

    def real_tokens(self, mask: Value) -> Value:
        """1 where a token is real and 0 where it is padding: mask (B, T) int64 to (B, T, 1)."""

    def convolve_features(self, x: Value, weight: Array, bias: Array) -> Value:
        """Each feature filtered over neighbouring tokens, `same`-padded: (B, T, H) to (B, T, H).

        Args:
            x: (B, T, H).
            weight: (H, 1, kernel).
            bias: (H,).
        """

    def convolve_image(self, x: Value, weight: Array, bias: Array) -> Value:
        """2-D convolution, `same`-padded: (B, C, T, H) to (B, D, T, H).

        Args:
            x: (B, C, T, H), C channels.
            weight: (D, C, kernel, kernel).
            bias: (D,).
        """
