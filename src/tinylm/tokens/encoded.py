"""Texts as sequences of ids, in memory or in a token file: what a classifier is trained on and classifies."""

from collections.abc import Sequence
from copy import copy

import numpy as np
import numpy.typing as npt

from tinylm.tokens.sequences import Indices
from tinylm.tokens.token_file import TokenFile
from tinylm.tokens.windows import part, windows_for
from tinylm.tokens.wordpiece import Tokenizer


class EncodedTexts:
    """`[CLS]`, tokens of a text, `[SEP]`: one sequence a text, or several where texts are read in windows.

    Args:
        texts: n of them; an empty one gives `[CLS] [SEP]`.
        tokenizer: the vocabulary.
        length: ids in a sequence at most.
        windows: sequences that a text is parted into at most; what it has beyond them is cut.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, length: int, windows: int = 1) -> None:
        self._tokenizer, self._length = tokenizer, length
        ids, offsets = tokenizer.encode(texts, max_length=windows * (length - 2))
        self._ids: npt.NDArray[np.integer] = ids
        self._part(offsets[:-1], np.diff(offsets))

    @classmethod
    def of_file(cls, tokens: TokenFile, tokenizer: Tokenizer, length: int, windows: int = 1) -> "EncodedTexts":
        """The documents of a token file, of which no more is read than what is fetched.

        Args:
            tokens: written with that vocabulary.
            tokenizer: the vocabulary.
            length: ids in a sequence at most.
            windows: sequences that a document is parted into at most.
        """
        texts = cls((), tokenizer, length)
        texts._ids = tokens.ids
        # Without the [SEP] that ends each document in the file: a sequence has its own.
        texts._part(np.asarray(tokens.offsets[:-1]), np.minimum(np.diff(tokens.offsets) - 1, windows * (length - 2)))
        return texts

    def _part(self, starts: Indices, tokens: Indices) -> None:
        self._text_starts, self._text_tokens = starts, tokens
        self.windows = windows_for(tokens, self._length - 2)
        begins, ends = part(tokens, self.windows)
        self._starts, self._inner = np.repeat(starts, self.windows) + begins, ends - begins

    windows: Indices
    """(n,) sequences of each text; those of one text stand together."""

    @property
    def lengths(self) -> Indices:
        """Shape (sequences,), int64: ids in each sequence, `[CLS]` and `[SEP]` included."""
        return self._inner + 2

    @property
    def drawn_lengths(self) -> Indices:
        """Shape (n,), int64: ids in the sequence that `draw` makes of each text."""
        return np.minimum(self._text_tokens + 2, self._length)

    def __len__(self) -> int:
        """Sequences."""
        return len(self._starts)

    def take(self, texts: npt.NDArray[np.integer]) -> "EncodedTexts":
        """Those of some of the texts, in that order; the ids are shared."""
        taken = copy(self)
        taken._part(self._text_starts[texts], self._text_tokens[texts])
        return taken

    def fetch(self, indices: npt.NDArray[np.integer]) -> Indices:
        """Fetch sequences: shape (B,) to (B, T), int64, T the longest of them; shorter ones end in pad ids."""
        return self._framed(self._starts[indices], self._inner[indices])

    def draw(self, texts: npt.NDArray[np.integer], generator: np.random.Generator) -> Indices:
        """A sequence of each text: all of it, or where it is longer, a stretch from anywhere in it.

        Args:
            texts: shape (B,), which ones.
            generator: where the stretches come from.

        Returns:
            Shape (B, T), as of `fetch`.
        """
        tokens = self._text_tokens[texts]
        drawn = np.minimum(tokens, self._length - 2)
        return self._framed(self._text_starts[texts] + generator.integers(0, tokens - drawn, endpoint=True), drawn)

    def _framed(self, starts: Indices, inner: Indices) -> Indices:
        columns = np.arange(int(inner.max(initial=0)))
        real = columns < inner[:, None]
        position = np.where(real, starts[:, None] + columns, 0)
        ids = np.full((len(inner), len(columns) + 2), self._tokenizer.pad_id, dtype=np.int64)
        ids[:, 0] = self._tokenizer.cls_id
        if len(self._ids):
            ids[:, 1:-1] = np.where(real, self._ids[position], self._tokenizer.pad_id)
        ids[np.arange(len(inner)), inner + 1] = self._tokenizer.sep_id
        return ids
