"""The convolutional front-ends of the BERT-1 variants.

They stand between the embeddings and the first transformer layer and keep the shape (batch, tokens, width). Padding
is held at zero before every convolution and kept out of the batch statistics, so what a real token becomes does not
depend on how far its row was padded. (The paper's code lets padding take part.)
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinylm.model.config import Conv2dFrontEnd, DepthwiseFrontEnd, FrontEnd, ModelConfig


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


class Conv2dStack(nn.Module):
    """`same`-padded 2-D convolutions over (tokens x features), a 1x1 convolution back to one channel.

    Batch norm and GELU follow each convolution (arXiv 2507.14871, BERT-1 variants).
    """

    def __init__(self, shape: Conv2dFrontEnd) -> None:
        super().__init__()
        widths = [1, *[shape.channels] * len(shape.kernels), 1]
        kernels = [*shape.kernels, 1]
        self._kernels = kernels
        self.convolutions = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], kernel, padding=(kernel - 1) // 2) for i, kernel in enumerate(kernels)
        )
        self.norms = nn.ModuleList(MaskedBatchNorm2d(width) for width in widths[1:])

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, tokens, width) and (batch, tokens) to (batch, tokens, width)."""
        keep = None if mask is None else mask[:, None, :, None]
        image = x[:, None]
        for kernel, convolution, norm in zip(self._kernels, self.convolutions, self.norms, strict=True):
            if keep is not None:
                image = image * keep
            # `same` padding: an even kernel sees one more position after it than before.
            more = 1 - kernel % 2
            image = functional.gelu(norm(convolution(functional.pad(image, (0, more, 0, more))), mask))
        return image[:, 0]


class DepthwiseConvolution(nn.Module):
    """Each feature filtered over neighbouring tokens, added to the token, layer-normed."""

    def __init__(self, shape: DepthwiseFrontEnd, hidden_size: int, norm_epsilon: float) -> None:
        super().__init__()
        self.filter = nn.Conv1d(hidden_size, hidden_size, shape.kernel, padding="same", groups=hidden_size)
        self.norm = nn.LayerNorm(hidden_size, eps=norm_epsilon)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, tokens, width) and (batch, tokens) to (batch, tokens, width)."""
        if mask is not None:
            x = x * mask[:, :, None]
        filtered = self.filter(x.transpose(1, 2)).transpose(1, 2)
        output: Tensor = self.norm(x + functional.gelu(filtered))
        return output


class NoFrontEnd(nn.Module):
    """Lets the embeddings pass."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return `x`."""
        del mask
        return x


def build_front_end(config: ModelConfig) -> nn.Module:
    """The front-end that the shape asks for."""
    shape: FrontEnd | None = config.front_end
    match shape:
        case None:
            return NoFrontEnd()
        case Conv2dFrontEnd():
            return Conv2dStack(shape)
        case DepthwiseFrontEnd():
            return DepthwiseConvolution(shape, config.hidden_size, config.norm_epsilon)
