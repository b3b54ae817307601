"""A token file as rows to train on: the first tokens of each document, or their stream in equal pieces."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from tinylm.errors import InputError
from tinylm.seeds import numpy_generator
from tinylm.text.token_file import TokenFile

Indices = npt.NDArray[np.int64]


class Rows(Protocol):
    """Rows of token ids, fetched by number."""

    @property
    def lengths(self) -> Indices:
        """Shape (rows,), int64: ids in each row, special ones included."""

    def __len__(self) -> int: ...

    def rows(self, indices: Indices) -> Indices:
        """Fetch rows.

        Args:
            indices: shape (B,), which ones.

        Returns:
            Shape (B, T), int64, T the longest of them; shorter ones end in pad ids.
        """


class FirstTokens:
    """`[CLS]`, the first tokens of a document, `[SEP]`: one row a document, as in the paper.

    Args:
        tokens: the corpus.
        documents: shape (n,), which documents.
        length: ids in a row at most; what is longer is cut.

    Raises:
        InputError: no document, or a length with no room for a token.
    """

    def __init__(self, tokens: TokenFile, documents: Indices, length: int = 128) -> None:
        _check(documents, length, shortest=3)
        self._tokens = tokens
        self._starts = np.asarray(tokens.offsets[documents])
        # The stored [SEP] is not counted: a row has its own, also where it is cut.
        self._inner = np.minimum(tokens.offsets[documents + 1] - self._starts - 1, length - 2)

    @property
    def lengths(self) -> Indices:
        """Shape (n,), int64: ids in each row, `[CLS]` and `[SEP]` included."""
        return np.asarray(self._inner + 2, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._starts)

    def rows(self, indices: Indices) -> Indices:
        """Fetch rows: shape (B,) to (B, T), int64, padded to the longest of them."""
        inner = self._inner[indices][:, None]
        column = np.arange(inner.max() + 2)[None, :]
        position = self._starts[indices][:, None] + np.minimum(column, inner) - 1
        # Column 0 of the first document would read before the file.
        ids: Indices = self._tokens.ids[np.maximum(position, 0)].astype(np.int64)
        meta = self._tokens.meta
        ids[:, 0] = meta.cls_id
        ids[column == inner + 1] = meta.sep_id
        ids[column > inner + 1] = meta.pad_id
        return ids


class Packed:
    """`[CLS]` and the next `length - 1` tokens of the documents' stream: no padding, and nothing cut off.

    The stream is the documents one after another, each ending in its `[SEP]`. The last row goes on at the
    beginning.

    Args:
        tokens: the corpus.
        documents: shape (n,), which documents, in the order of the stream.
        length: ids in every row.

    Raises:
        InputError: no document, or a length with no room for a token.
    """

    def __init__(self, tokens: TokenFile, documents: Indices, length: int = 128) -> None:
        _check(documents, length, shortest=2)
        self._tokens = tokens
        self._length = length
        starts = np.asarray(tokens.offsets[documents])
        ends = np.cumsum(tokens.offsets[documents + 1] - starts)
        self._total = int(ends[-1])
        self._begins = np.concatenate([[0], ends[:-1]])
        self._shift = starts - self._begins
        self._rows = -(-self._total // (length - 1))

    @property
    def lengths(self) -> Indices:
        """Shape (rows,), int64: `length` each."""
        return np.full(self._rows, self._length, dtype=np.int64)

    def __len__(self) -> int:
        return self._rows

    def rows(self, indices: Indices) -> Indices:
        """Fetch rows: shape (B,) to (B, length), int64."""
        inner = self._length - 1
        position = (np.asarray(indices)[:, None] * inner + np.arange(inner)) % self._total
        document = np.searchsorted(self._begins, position, side="right") - 1
        ids = np.empty((len(position), self._length), dtype=np.int64)
        ids[:, 0] = self._tokens.meta.cls_id
        ids[:, 1:] = self._tokens.ids[position + self._shift[document]]
        return ids


def split_documents(count: int, seed: int, fraction: float = 0.01, at_most: int = 1000) -> tuple[Indices, Indices]:
    """Part documents into training and validation.

    Args:
        count: how many there are.
        seed: of the draw.
        fraction: of them to validate on.
        at_most: documents to validate on.

    Returns:
        (training, validation): sorted document numbers, at least one each.

    Raises:
        InputError: fewer than two documents.
    """
    if count < 2:
        raise InputError(
            f"the corpus has {count} document(s), and 2 are needed to train and validate; give more text, "
            "or one document a line"
        )
    held = min(max(1, round(count * fraction)), at_most, count - 1)
    order = numpy_generator(seed, "validation").permutation(count)
    return np.sort(order[held:]), np.sort(order[:held])


def _check(documents: Indices, length: int, shortest: int) -> None:
    if len(documents) == 0:
        raise InputError("there is no document to make rows of; give more text")
    if length < shortest:
        raise InputError(f"a length of {length} has no room for text; ask for at least {shortest}")
