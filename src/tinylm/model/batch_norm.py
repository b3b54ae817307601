"""Batch norm for padded batches. Imports torch: front-ends import it where they build their modules."""

import torch
from torch import Tensor, nn


class MaskedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm (Ioffe & Szegedy, 2015) whose statistics are those of real tokens only."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:  # type: ignore[override]
        """Normalise each channel.

        Args:
            x: (batch, channels, tokens, features).
            mask: (batch, tokens), true where a token is real; None where all are.
        """
        if mask is None or not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        # In float32 also where x is bfloat16: a count of more than 256 tokens has no exact bfloat16.
        keep = mask[:, None, :, None].float()
        count = keep.sum() * x.shape[3]
        mean = (x * keep).sum((0, 2, 3)) / count
        centred = x - mean[:, None, None]
        variance = (centred.square() * keep).sum((0, 2, 3)) / count
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)
