"""Encoder: texts to vectors, without torch."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.model.operations import TokenBatch
from tinylm.runtime.batches import CHUNK, Vocabulary, batches_by_length, padded, require_strings
from tinylm.runtime.windows import Windows
from tinylm.tokens.windows import Long, count_longer, most_windows, not_read

Array = npt.NDArray[np.float32]


class VectorBackend(Protocol):
    """Ids to vectors; may be called from several threads at once."""

    @property
    def width(self) -> int:
        """Features of a text's vector, over all members; 0 where it gives none."""

    def encode(self, batches: Sequence[TokenBatch[npt.NDArray[np.int64]]]) -> Sequence[Array]:
        """The vectors (B, width) of each member, for texts that are given once for each vocabulary."""


class Encoder:
    """What a committee, or a pre-trained base, makes of a text before it is classified; `load_encoder` opens one.

    The vector of a text is the output of the last layer at `[CLS]`, in float32; those of several members stand side by
    side. That of a text that is longer than what a member reads at once is the mean of those of its windows, or that of
    its beginning, as `long` says. It may be used from several threads at once.

    Raises:
        InputError: the backend gives no vectors.

    Attributes:
        width: features of a vector: the sum over the members.
        long: what is done with long texts.
        threads: processor threads that one call uses.
    """

    def __init__(
        self,
        backend: VectorBackend,
        vocabularies: Sequence[Vocabulary],
        *,
        long: Long,
        threads: int,
        batch_tokens: int,
    ) -> None:
        if not backend.width:
            raise InputError("the model was exported by a tinylm whose exports give no vectors; export it again")
        self._backend, self._vocabularies, self._batch_tokens = backend, tuple(vocabularies), batch_tokens
        self.width, self.long, self.threads = backend.width, long, threads

    @overload
    def encode(self, texts: Iterator[str], *, normalise: bool = False) -> Iterator[Array]: ...  # type: ignore[overload-overlap]
    @overload
    def encode(self, texts: str | Iterable[str], *, normalise: bool = False) -> Array: ...
    def encode(self, texts: str | Iterable[str], *, normalise: bool = False) -> Any:
        """The vectors of texts.

        Args:
            texts: one, a collection, or an iterator.
            normalise: divide each vector by its length, so that products of vectors are cosines.

        Returns:
            (width,) for one text, (texts, width) for a collection, in float32; for an iterator one that yields vectors
            in the order of the texts, as they arrive, a few hundred at a time.

        Raises:
            InputError: a text is not a string.
        """
        if isinstance(texts, str):
            return self._chunk([texts], normalise)[0]
        if isinstance(texts, Iterator):
            return self._stream(texts, normalise)
        given = list(texts)
        chunks = (given[start : start + CHUNK] for start in range(0, len(given), CHUNK))
        vectors = [self._chunk(chunk, normalise) for chunk in chunks]
        return np.concatenate(vectors) if vectors else np.empty((0, self.width), np.float32)

    def count_truncated(self, texts: Sequence[str]) -> int:
        """How many of these texts go on after what is read of them."""
        most = most_windows(self.long)
        return max(count_longer(texts, v.tokenizer, most * (v.positions - 2)) for v in self._vocabularies)

    def not_read(self, truncated: int, texts: int) -> str:
        """The sentence that so many of the texts go on after what is read of them; empty where none does."""
        return not_read(truncated, texts, min(v.positions for v in self._vocabularies), self.long)

    def _stream(self, texts: Iterator[str], normalise: bool) -> Iterator[Array]:
        while chunk := list(islice(texts, CHUNK)):
            yield from self._chunk(chunk, normalise)

    def _chunk(self, texts: Sequence[str], normalise: bool) -> Array:
        require_strings(texts)
        windows = Windows.of(texts, self._vocabularies, most_windows(self.long), at_once=self.threads > 1)
        of_windows = np.empty((len(windows.lengths), self.width), np.float32)
        order = np.argsort(windows.lengths, kind="stable")
        for batch in batches_by_length(order, windows.lengths, self._batch_tokens):
            of_batch = [padded([of_vocabulary[index] for index in batch]) for of_vocabulary in windows.rows]
            of_windows[batch] = np.concatenate(self._backend.encode(of_batch), axis=1)
        vectors = windows.mean(of_windows)
        if normalise:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors
