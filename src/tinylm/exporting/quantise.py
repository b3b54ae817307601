"""Weights quantized to 8 or 4 bits, as ONNX Runtime's products by such matrices take them."""

import numpy as np
import numpy.typing as npt

from tinylm.model.operations import Array
from tinylm.runtime.artefact import WeightPrecision

BITS: dict[WeightPrecision, int] = {"int8": 8, "int4": 4}
_BLOCK = {8: 256, 4: 128}
"""Weights that share a scale. With fewer, scales are a larger part of what is read, and products take longer."""

_SHARES = {8: (1.0,), 4: tuple(np.linspace(0.5, 1.0, 11))}
"""Of the largest weight of a block, what the largest number may stand for: with 4 bits, cutting it off can pay."""


def quantized_rows(table: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """A table (rows, width) quantized to 8 bits, and the scale of each row (rows, 1)."""
    scale = np.maximum(np.abs(table).max(1, keepdims=True) / 127, np.finfo(np.float32).tiny)
    return np.rint(table / scale).astype(np.int8), scale.astype(np.float32)


def quantized_blocks(weight: Array, bits: int) -> tuple[npt.NDArray[np.uint8], Array]:
    """A matrix quantized to 8 or 4 bits, with a scale for each block of inputs.

    Args:
        weight: (out, in).
        bits: 8, or 4, two of them in a byte, the first in its lower half.

    Returns:
        (out, blocks, bytes) uint8, half of their range standing for 0, and scales (out, blocks) float32.
    """
    out, into = weight.shape
    block = min(_BLOCK[bits], max(16, 1 << (into - 1).bit_length()))
    padded = np.pad(weight, ((0, 0), (0, -into % block))).reshape(out, -1, block)
    half = 1 << (bits - 1)
    largest = np.maximum(np.abs(padded).max(2), np.finfo(np.float32).tiny)
    least = np.full(largest.shape, np.inf)
    numbers, scales = np.empty(padded.shape, np.uint8), np.empty(largest.shape, np.float32)
    for share in _SHARES[bits]:
        scale = (largest * share / (half - 0.5)).astype(np.float32)
        quantized = np.clip(np.rint(padded / scale[:, :, None]), -half, half - 1)
        error = np.square(quantized - padded / scale[:, :, None]).sum(2) * share**2
        better = error < least
        least[better], scales[better], numbers[better] = error[better], scale[better], quantized[better] + half
    if bits == 4:
        numbers = np.asarray(numbers[:, :, ::2] | numbers[:, :, 1::2] << 4, dtype=np.uint8)
    return numbers, scales
