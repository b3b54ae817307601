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
        return getattr(torch, requested), f"{requested}, as requested"
    if device == "cuda":
        if torch.cuda.is_bf16_supported():
            return torch.bfloat16, "bfloat16, which the GPU multiplies natively"
        return torch.float32, "float32, as the GPU has no bfloat16"
    float32, bfloat16 = (_seconds_per_product(shape, tokens, dtype) for dtype in (torch.float32, torch.bfloat16))
    if bfloat16 < float32:
        return torch.bfloat16, f"bfloat16, which takes 1/{float32 / bfloat16:.1f} of the time of float32 on this CPU"
    return torch.float32, f"float32, which takes 1/{bfloat16 / float32:.1f} of the time of bfloat16 on this CPU"


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
