"""The shapes of the paper at any width: all of a preset shrinks by the same factor.

A preset of arXiv 2507.14871 has heads of 64; at width w its heads have w / 12, so that `bert-1` is w wide, `bert-1-24h`
2 w and `bert-1-8h` 2/3 w, as 768, 1536 and 512 in the paper. The channels of convolutions shrink alike.
"""

from dataclasses import replace

from tinylm.core.errors import InputError
from tinylm.model.config import ModelConfig, preset
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd

PAPER_WIDTH = 768
_HEADS = 12
"""Of the shape whose width gives the scale its name."""


def scaled(name: str, width: int, vocab_size: int) -> ModelConfig:
    """The preset of that name where `bert-1` is `width` wide.

    Args:
        name: of a preset of the paper, or of one with a width in its name, which keeps its own.
        width: hidden size of `bert-1`, a multiple of 12.
        vocab_size: pieces of the vocabulary.

    Raises:
        InputError: no such preset, or a width that the heads cannot share.
    """
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
