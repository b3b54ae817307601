"""The network's operations on NumPy arrays: how a checkpoint answers as it is, and what a graph must equal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from tinylm.model.operations import Array, Linear, Norm
from tinylm.tokens.bigrams import bigram_codes, look_up

Values = npt.NDArray[Any]
"""float32; ids and masks int64."""

# Abramowitz & Stegun (1964), 7.1.26: at most 1.5e-7 from the error function.
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
_ERF_SCALE = 0.3275911


class NumpyOperations:
    """See `model.operations.Operations`; everything is computed in float32."""

    def token_embeddings(self, table: Array, ids: Values) -> Values:
        return table[ids]

    def position_embeddings(self, table: Array, ids: Values) -> Values:
        return table[: ids.shape[1]]

    def bigram_rows(self, codes: npt.NDArray[np.int64], vocab_size: int, ids: Values) -> Values:
        return look_up(codes, bigram_codes(ids, vocab_size))

    def occurrences(self, rows: Values) -> Values:
        return np.asarray((rows[:, :, None] == rows[:, None, :]).sum(2))

    def lookup(self, values: Values, ids: Values) -> Values:
        return np.asarray(values[ids])

    def constant(self, values: Array) -> Values:
        return values

    def norm(self, x: Values, norm: Norm) -> Values:
        centred = x - x.mean(-1, keepdims=True)
        variance = np.mean(np.square(centred), -1, keepdims=True)
        return np.asarray(centred / np.sqrt(variance + np.float32(norm.epsilon)) * norm.weight + norm.bias)

    def inverse_norm(self, x: Values, epsilon: float) -> Values:
        squares = np.einsum("bth,bth->bt", x, x)[:, None, :]
        return np.asarray(1 / np.sqrt(squares + np.float32(epsilon)))

    def linear(self, x: Values, linear: Linear) -> Values:
        return np.asarray(x @ linear.weight.T + linear.bias)

    def linear_by_head(self, x: Values, weight: Array) -> Values:
        return np.asarray((x.transpose(1, 0, 2) @ weight.transpose(0, 2, 1)).transpose(1, 0, 2))

    def fixed_scores(self, query: Array, x: Values) -> Values:
        return np.asarray((x @ query.T).transpose(0, 2, 1))

    def scores(self, query: Values, x: Values) -> Values:
        return np.asarray(query @ x.swapaxes(-1, -2))

    def matmul(self, x: Values, y: Values) -> Values:
        return np.asarray(x @ y)

    def add(self, x: Values, y: Values) -> Values:
        return np.asarray(x + y)

    def multiply(self, x: Values, y: Values) -> Values:
        return np.asarray(x * y)

    def scale(self, x: Values, factor: float) -> Values:
        return np.asarray(x * np.float32(factor))

    def log(self, x: Values) -> Values:
        return np.asarray(np.log(np.maximum(x, np.finfo(np.float32).tiny)))

    def gelu(self, x: Values) -> Values:
        z = np.abs(x) * np.float32(np.sqrt(0.5))
        t = 1 / (1 + np.float32(_ERF_SCALE) * z)
        series = np.zeros_like(t)
        for coefficient in _ERF:
            series = (series + np.float32(coefficient)) * t
        tail = series * np.exp(-z * z)
        return np.asarray(np.where(x < 0, tail, 2 - tail) * x / 2)

    def tanh(self, x: Values) -> Values:
        return np.tanh(x)

    def sigmoid(self, x: Values) -> Values:
        # By tanh, which does not overflow.
        return np.asarray(np.tanh(x * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5))

    def softmax(self, x: Values) -> Values:
        exponentials = np.exp(x - x.max(-1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(-1, keepdims=True))

    def mean(self, x: Values, *, keep: bool) -> Values:
        return np.asarray(x.mean(1, keepdims=keep))

    def concatenate(self, values: Sequence[Values]) -> Values:
        return np.concatenate(values, axis=1)

    def reshape(self, x: Values, *shape: int) -> Values:
        return x.reshape([size or x.shape[axis] for axis, size in enumerate(shape)])

    def transpose(self, x: Values, *axes: int) -> Values:
        return x.transpose(axes)

    def first(self, x: Values) -> Values:
        return x[:, 0]

    def padding_bias(self, mask: Values) -> Values:
        return np.where(mask, np.float32(0), np.float32(-np.inf))[:, None, :]

    def real_tokens(self, mask: Values) -> Values:
        return mask[:, :, None].astype(np.float32)

    def convolve_features(self, x: Values, weight: Array, bias: Array) -> Values:
        kernel = weight.shape[2]
        padded = np.pad(x, ((0, 0), _same(kernel), (0, 0)))
        taps = (padded[:, tap : tap + x.shape[1]] * weight[:, 0, tap] for tap in range(kernel))
        return np.asarray(sum(taps, start=bias))

    def convolve_image(self, x: Values, weight: Array, bias: Array) -> Values:
        kernel = weight.shape[2]
        padded = np.pad(x, ((0, 0), (0, 0), _same(kernel), _same(kernel)))
        filters = weight.reshape(len(weight), -1).T
        output = np.empty((x.shape[0], len(weight), *x.shape[2:]), dtype=np.float32)
        for text, image in enumerate(padded):
            # A token at a time, so that its patches (features, channels * kernel * kernel) stay in the cache.
            for token in range(x.shape[2]):
                patches = sliding_window_view(image[:, token : token + kernel], kernel, axis=2)
                rows = patches.transpose(2, 0, 1, 3).reshape(x.shape[3], -1)
                output[text, :, token] = (rows @ filters + bias).T
        return output


def _same(kernel: int) -> tuple[int, int]:
    """Padding that keeps the size; an even kernel sees one more position after it than before."""
    return (kernel - 1) // 2, kernel // 2
