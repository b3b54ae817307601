"""float32 or bfloat16 for matrix products: measured on this machine, with the reason said."""

import time
from statistics import median

import torch
from torch.nn import functional

from tinylm.model.config import ModelConfig
from tinylm.train.settings import Precision


def choose_precision(requested: Precision, shape: ModelConfig, tokens: int, device: str) -> tuple[torch.dtype, str]:
    """The type in which matrices are multiplied, and why.

    Args:
        requested: `auto` measures; the others are taken as they are.
        shape: of the model; its feed-forward product is what is timed.
        tokens: tokens an update.
        device: `cpu` or `cuda`.
    """
    if requested != "auto":
        return getattr(torch, requested), f"{requested}: as requested"
    if device == "cuda":
        if torch.cuda.is_bf16_supported():
            return torch.bfloat16, "bfloat16: the GPU multiplies it natively"
        return torch.float32, "float32: the GPU has no bfloat16"
    slow = _seconds_per_product(shape, tokens, torch.float32)
    fast = _seconds_per_product(shape, tokens, torch.bfloat16)
    if fast < slow:
        return torch.bfloat16, f"bfloat16: multiplies {slow / fast:.1f}x faster than float32 on this CPU"
    return torch.float32, f"float32: bfloat16 multiplies {slow / fast:.1f}x as fast as it on this CPU"


def _seconds_per_product(shape: ModelConfig, tokens: int, dtype: torch.dtype) -> float:
    x = torch.ones(min(tokens, 4096), shape.hidden_size, dtype=dtype)
    # The cast of the weights belongs to the cost: they are kept in float32 and change at every update.
    weights = torch.ones(shape.intermediate_size, shape.hidden_size)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        functional.linear(x, weights.to(dtype))
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:])
