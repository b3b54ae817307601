"""Long texts: how one is parted into windows that a model can read, and how many texts are longer than one window.

How long a window is depends on the model: what it was pre-trained with, or `WHOLE` with `--long all`.

A text is parted evenly, into as few windows as hold it, none of which overlap: overlapping ones cost twice as much and
say no more (docs/LOG.md, "Long texts").
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from tinylm.tokens.wordpiece import Tokenizer

Long = Literal["windows", "truncate", "all"]
"""What is done with a text that is longer than what a model was pre-trained to read at once: all of it is read, in
windows whose answers are averaged; or its beginning alone; or the model is fine-tuned to read `WHOLE` tokens at once.
"""

WHOLE = 1024
"""Positions of a model that reads texts at once; what is still longer, it reads in windows of that."""

_MOST_WINDOWS: dict[Long, int] = {"windows": 64, "truncate": 1, "all": 8}
"""Windows that are read of a text at most, so that no text can keep a server busy: 8,064 tokens of a model of 128
positions, which are some 6,000 words, or a few more of one of 1,024."""

Counts = npt.NDArray[np.int64]

_CHUNK = 1024


def most_windows(long: Long) -> int:
    """Windows that are read of a text at most."""
    return _MOST_WINDOWS[long]


def positions_for(long: Long, pretrained: int) -> int:
    """Positions of a fine-tuned model, of one that was pre-trained with so many."""
    return max(WHOLE, pretrained) if long == "all" else pretrained


def windows_for(tokens: Counts, length: int) -> Counts:
    """Windows that hold texts of so many tokens (n,), `length` in each at most; an empty text is one empty window."""
    return np.maximum(1, -(-tokens // length))


def part(tokens: Counts, counts: Counts) -> tuple[Counts, Counts]:
    """Part texts evenly.

    Args:
        tokens: (n,) of each text, special ones not counted.
        counts: (n,) windows of each.

    Returns:
        First token of each window, and the one after its last, both (sum of counts,), as positions in its text.
    """
    tokens, several = np.repeat(tokens, counts), np.repeat(counts, counts)
    number = np.arange(len(several)) - np.repeat(np.cumsum(counts) - counts, counts)
    return number * tokens // several, (number + 1) * tokens // several


def not_read(truncated: int, texts: int, length: int, long: Long) -> str:
    """The sentence on texts that are longer than what is read of them; empty where none is.

    Args:
        truncated: how many are.
        texts: how many there are.
        length: ids in a sequence at most.
        long: what is done with long texts.
    """
    if not truncated:
        return ""
    remedy = (
        "fine-tuning with --long windows reads all of a text"
        if long == "truncate"
        else "if it matters, make several texts of each"
    )
    return (
        f"{truncated:,} of {texts:,} texts are longer than {most_windows(long) * length:,} tokens; "
        f"what follows is not read: {remedy}"
    )


def count_longer(texts: Sequence[str], tokenizer: Tokenizer, most: int) -> int:
    """How many texts have more than `most` tokens; no more of a text is encoded than tells."""
    # A token has a character or more.
    candidates = [text for text in texts if len(text) > most]
    chunks = (candidates[start : start + _CHUNK] for start in range(0, len(candidates), _CHUNK))
    return sum(sum(tokenizer.encode_rows(chunk, most)[1]) for chunk in chunks)
