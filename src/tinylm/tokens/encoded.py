"""Texts as sequences of ids in memory: what a classifier is trained on and classifies."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tinylm.tokens.sequences import Indices
from tinylm.tokens.wordpiece import Tokenizer


class EncodedTexts:
    """`[CLS]`, the first tokens of a text, `[SEP]`: one sequence a text.

    Args:
        texts: n of them; an empty one gives `[CLS] [SEP]`.
        tokenizer: the vocabulary.
        length: ids in a sequence at most; what is longer is cut.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, length: int) -> None:
        self._tokenizer = tokenizer
        self._ids, offsets = tokenizer.encode(texts, max_length=length - 2)
        self._starts = offsets[:-1]
        self._inner = np.diff(offsets)

    @property
    def lengths(self) -> Indices:
        """Shape (n,), int64: ids in each sequence, `[CLS]` and `[SEP]` included."""
        return self._inner + 2

    def __len__(self) -> int:
        return len(self._starts)

    def fetch(self, indices: npt.NDArray[np.integer]) -> Indices:
        """Fetch sequences: shape (B,) to (B, T), int64, T the longest of them; shorter ones end in pad ids."""
        inner = self._inner[indices]
        columns = np.arange(int(inner.max(initial=0)))
        real = columns < inner[:, None]
        position = np.where(real, self._starts[indices][:, None] + columns, 0)
        ids = np.full((len(inner), len(columns) + 2), self._tokenizer.pad_id, dtype=np.int64)
        ids[:, 0] = self._tokenizer.cls_id
        if len(self._ids):
            ids[:, 1:-1] = np.where(real, self._ids[position], self._tokenizer.pad_id)
        ids[np.arange(len(inner)), inner + 1] = self._tokenizer.sep_id
        return ids
