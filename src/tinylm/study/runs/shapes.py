"""The shapes of the paper at any width: all of a preset shrinks by the same factor.

A preset of arXiv 2507.14871 has heads of 64; at width w its heads have w / 12, so that `bert-1` is w wide, `bert-1-24h`
2 w and `bert-1-8h` 2/3 w, as 768, 1536 and 512 in the paper. The channels of convolutions shrink alike.

Any other shape is written out: `l2-w96-h6-f4` has two layers of width 96 with 6 heads and a feed-forward part 4 times
as wide; `-dw5` adds a depthwise convolution over 5 tokens, `-c3x8` a 2-D one with a kernel of 3 and 8 channels.
"""

import re
from dataclasses import replace

from tinylm.core.errors import InputError
from tinylm.model.config import ModelConfig, preset
from tinylm.model.front_ends.base import NO_FRONT_END, FrontEnd
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd

PAPER_WIDTH = 768
_HEADS = 12
"""Of the shape whose width gives the scale its name."""

_WRITTEN_OUT = re.compile(r"l(\d+)-w(\d+)-h(\d+)-f(\d+)(?:-dw(\d+)|-c(\d+)x(\d+))?")


def scaled(name: str, width: int, vocab_size: int) -> ModelConfig:
    """The preset of that name where `bert-1` is `width` wide.

    Args:
        name: of a preset of the paper, or a shape with a width of its own: of a preset, or written out.
        width: hidden size of `bert-1`, a multiple of 12.
        vocab_size: pieces of the vocabulary.

    Raises:
        InputError: no such preset, or a width that the heads cannot share.
    """
    written_out = _WRITTEN_OUT.fullmatch(name)
    if written_out is not None:
        return _shape(*(None if part is None else int(part) for part in written_out.groups()), vocab_size=vocab_size)
    shape = replace(preset(name), vocab_size=vocab_size)
    if shape.head_size * _HEADS != PAPER_WIDTH:
        return shape
    if width < _HEADS or width % _HEADS:
        raise InputError(f"width is {width}; give a multiple of {_HEADS}, the heads of bert-1")
    hidden = shape.heads * width // _HEADS
    front_end = shape.front_end
    if isinstance(front_end, Conv2dFrontEnd):
        front_end = replace(front_end, channels=max(1, front_end.channels * width // PAPER_WIDTH))
    return replace(shape, hidden_size=hidden, intermediate_size=4 * hidden, front_end=front_end)


def _shape(
    layers: int | None,
    width: int | None,
    heads: int | None,
    feed_forward: int | None,
    depthwise: int | None,
    kernel: int | None,
    channels: int | None,
    *,
    vocab_size: int,
) -> ModelConfig:
    front_end: FrontEnd = NO_FRONT_END
    if depthwise is not None:
        front_end = DepthwiseFrontEnd(kernel=depthwise)
    elif kernel is not None and channels is not None:
        front_end = Conv2dFrontEnd(kernels=(kernel,), channels=channels)
    assert layers is not None and width is not None and heads is not None and feed_forward is not None
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        layers=layers,
        heads=heads,
        intermediate_size=feed_forward * width,
        front_end=front_end,
    )
