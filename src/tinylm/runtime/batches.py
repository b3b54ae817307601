"""Rows of token ids of different lengths as padded batches that a backend can take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.model.operations import TokenBatch
from tinylm.tokens.wordpiece import Tokenizer

CHUNK = 256
"""Texts of a stream that are read, sorted by length and computed together."""


@dataclass(frozen=True)
class Vocabulary:
    """How some members see a text.

    Attributes:
        tokenizer: its pieces.
        positions: tokens in a row at most.
    """

    tokenizer: Tokenizer
    positions: int


def require_strings(texts: Sequence[str]) -> None:
    """Refuse what is no text.

    Raises:
        InputError: a text is not a string.
    """
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"text {index + 1} is {type(text).__name__}, not a string; give strings")


def padded(rows: Sequence[Sequence[int]]) -> TokenBatch[npt.NDArray[np.int64]]:
    """Rows of ids, padded; what is padded with is masked, so any id will do."""
    lengths = [len(row) for row in rows]
    longest = max(lengths)
    if longest == min(lengths):
        ids = np.array(rows, dtype=np.int64)
        return TokenBatch(ids, np.ones_like(ids))
    ids = np.array([[*row, *[0] * (longest - len(row))] for row in rows], dtype=np.int64)
    return TokenBatch(ids, (np.arange(longest) < np.array(lengths)[:, None]).astype(np.int64))


def batches_by_length(
    order: npt.NDArray[np.integer], tokens: npt.NDArray[np.int64], most: int
) -> Iterator[npt.NDArray[np.integer]]:
    """Texts in the order of their lengths, in batches of so many padded tokens or of one text."""
    start = 0
    for stop in range(1, len(order) + 1):
        if stop == len(order) or (stop + 1 - start) * tokens[order[stop]] > most:
            yield order[start:stop]
            start = stop
