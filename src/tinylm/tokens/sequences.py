"""A token file as sequences to train on: documents truncated, their stream packed, neighbouring passages."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.core.seeds import numpy_generator
from tinylm.tokens.token_file import TokenFile

Indices = npt.NDArray[np.int64]

_CHUNK = 4096
"""Sequences that `in_chunks` reads at a time."""

_PASSAGES = 2
"""Passages in a pair."""

# docs/LOG.md, "How long should the passages of a pair be? Mostly 16 to 32 tokens", is where these come from.
_SHORT, _MIDDLE = 16, 32
"""Tokens of the longest passage of a batch, mostly: drawn evenly between the two."""
_LONG_SHARE = 0.15
"""Share of the batches whose longest passage has `_MIDDLE` tokens to all that a sequence holds."""
_MARGIN = 0.3
"""Share of a stretch that a cut leaves on both sides at least; cutting anywhere was no better there."""
_SHORTEST_PASSAGE = 8
"""Tokens that a cut leaves on both sides at least, where the stretch has them; chosen without a measurement."""


class Sequences(Protocol):
    """Sequences of token ids, fetched by number."""

    @property
    def lengths(self) -> Indices:
        """Shape (n,), int64: ids in each sequence, special ones included."""

    def __len__(self) -> int: ...

    def fetch(self, indices: Indices) -> Indices:
        """Fetch sequences.

        Args:
            indices: shape (B,), which ones.

        Returns:
            Shape (B, T), int64, T the longest of them; shorter ones end in pad ids.
        """


def in_chunks(sequences: Sequences) -> Iterator[tuple[Indices, npt.NDArray[np.bool_]]]:
    """All sequences in their order, some thousands at a time: ids (B, T), and which of them are no padding (B, T)."""
    lengths = sequences.lengths
    for start in range(0, len(sequences), _CHUNK):
        chosen = np.arange(start, min(start + _CHUNK, len(sequences)))
        ids = sequences.fetch(chosen)
        yield ids, np.arange(ids.shape[1]) < lengths[chosen][:, None]


class Truncated:
    """`[CLS]`, the first tokens of a document, `[SEP]`: one sequence a document, as in the paper (arXiv 2507.14871).

    Args:
        tokens: the corpus.
        documents: shape (n,), which documents.
        length: ids in a sequence at most; what is longer is cut.

    Raises:
        InputError: no document, or a length with no room for a token.
    """

    def __init__(self, tokens: TokenFile, documents: Indices, length: int = 128) -> None:
        _check(documents, length, shortest=3)
        self._tokens = tokens
        self._starts = np.asarray(tokens.offsets[documents])
        # The stored [SEP] is not counted: a sequence has its own, also where it is cut.
        self._inner = np.minimum(tokens.offsets[documents + 1] - self._starts - 1, length - 2)

    @property
    def lengths(self) -> Indices:
        """Shape (n,), int64: ids in each sequence, `[CLS]` and `[SEP]` included."""
        return np.asarray(self._inner + 2, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._starts)

    def fetch(self, indices: Indices) -> Indices:
        """Fetch sequences: shape (B,) to (B, T), int64, padded to the longest of them."""
        return _framed(self._tokens, self._starts[indices], self._inner[indices])


class Packed:
    """`[CLS]` and the next `length - 1` tokens of the documents' stream: no padding, and nothing cut off.

    The stream is the documents one after another, each ending in its `[SEP]`. The last sequence goes on at the
    beginning.

    Args:
        tokens: the corpus.
        documents: shape (n,), which documents, in the order of the stream.
        length: ids in every sequence.

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
        self._count = -(-self._total // (length - 1))

    @property
    def lengths(self) -> Indices:
        """Shape (n,), int64: `length` each."""
        return np.full(self._count, self._length, dtype=np.int64)

    def __len__(self) -> int:
        return self._count

    def fetch(self, indices: Indices) -> Indices:
        """Fetch sequences: shape (B,) to (B, length), int64."""
        inner = self._length - 1
        position = (np.asarray(indices)[:, None] * inner + np.arange(inner)) % self._total
        document = np.searchsorted(self._begins, position, side="right") - 1
        ids = np.empty((len(position), self._length), dtype=np.int64)
        ids[:, 0] = self._tokens.meta.cls_id
        ids[:, 1:] = self._tokens.ids[position + self._shift[document]]
        return ids


class Pairs:
    """Two neighbouring passages of a document, cut anew each time they are drawn.

    A document longer than two sequences is split into stretches of equal length, and each of them gives pairs. Passages
    of a batch share one length, drawn with them, as far as their stretches go: mostly 16 to 32 tokens, since many short
    texts teach more in the same time than few long ones, and 32 to all that a sequence holds in 15 % of the batches, so
    that a model meets every position.

    Args:
        tokens: the corpus.
        documents: shape (n,), which documents; those of a single token are left out.
        length: ids in a sequence at most.

    Raises:
        InputError: no document of two tokens, or a length with no room for a token.
    """

    def __init__(self, tokens: TokenFile, documents: Indices, length: int = 128) -> None:
        _check(documents, length, shortest=3)
        self._tokens = tokens
        self._longest = length - 2
        starts = np.asarray(tokens.offsets[documents])
        inner = np.asarray(tokens.offsets[documents + 1]) - starts - 1
        starts, inner = starts[inner >= _PASSAGES], inner[inner >= _PASSAGES]
        if len(inner) == 0:
            raise InputError(
                "no document has two tokens, and pairs of passages need them; take packed or truncated sequences"
            )
        stretches = np.minimum(-(-inner // (_PASSAGES * self._longest)), inner // _PASSAGES)
        document = np.repeat(np.arange(len(inner)), stretches)
        part = np.arange(len(document)) - np.repeat(np.cumsum(stretches) - stretches, stretches)
        begins = part * inner[document] // stretches[document]
        ends = (part + 1) * inner[document] // stretches[document]
        self._starts, self._inner = starts[document] + begins, ends - begins

    def __len__(self) -> int:
        """Stretches."""
        return len(self._starts)

    def draw(self, indices: Indices, generator: np.random.Generator) -> tuple[Indices, Indices]:
        """Cut a pair out of each stretch.

        Args:
            indices: shape (B,), which stretches.
            generator: where length and cuts come from. A cut leaves room for a passage on both sides, or three
                tenths of the stretch where that is less.

        Returns:
            Sequences of ids, shape (2B, T), int64, passages of one pair side by side, shorter ones ending in pad ids;
            their lengths, shape (2B,), special ids included.
        """
        inner = self._inner[indices]
        longest = self._draw_longest(generator)
        least = np.minimum(_SHORTEST_PASSAGE, inner // _PASSAGES)
        margin = np.maximum(least, np.minimum(longest, (_MARGIN * inner).astype(np.int64)))
        cut = generator.integers(margin, inner - margin, endpoint=True)
        before, after = np.minimum(cut, longest), np.minimum(inner - cut, longest)
        middle = self._starts[indices] + cut
        starts = np.stack((middle - before, middle), axis=1).ravel()
        lengths = np.stack((before, after), axis=1).ravel()
        return _framed(self._tokens, starts, lengths), lengths + 2

    def _draw_longest(self, generator: np.random.Generator) -> int:
        middle = min(_MIDDLE, self._longest)
        if generator.random() < _LONG_SHARE:
            return int(generator.integers(middle, self._longest, endpoint=True))
        return int(generator.integers(min(_SHORT, middle), middle, endpoint=True))


def split_documents(count: int, seed: int, fraction: float = 0.01, at_most: int = 1000) -> tuple[Indices, Indices]:
    """Split documents into training and validation.

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


def _framed(tokens: TokenFile, starts: Indices, lengths: Indices) -> Indices:
    """`[CLS]`, `lengths` ids from `starts`, `[SEP]`, padding: shape (B, longest + 2), int64."""
    inner = lengths[:, None]
    column = np.arange(inner.max() + 2)[None, :]
    position = starts[:, None] + np.minimum(column, inner) - 1
    # Column 0 of the first document would read before the file.
    ids: Indices = tokens.ids[np.maximum(position, 0)].astype(np.int64)
    ids[:, 0] = tokens.meta.cls_id
    ids[column == inner + 1] = tokens.meta.sep_id
    ids[column > inner + 1] = tokens.meta.pad_id
    return ids


def _check(documents: Indices, length: int, shortest: int) -> None:
    if len(documents) == 0:
        raise InputError("there is no document to make sequences of; give more text")
    if length < shortest:
        raise InputError(f"a length of {length} has no room for text; give at least {shortest}")
