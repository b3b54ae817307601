"""Long texts at prediction: the windows that members read of them, and one answer made of those to the windows.

Each member's probabilities, or vectors, are averaged over the windows of a text; of the linear n-gram classifier the
sums are added up, so that it answers the whole text. A text of one window has the answer that the window has, to the
last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tinylm.committee import voting
from tinylm.runtime.batches import Vocabulary
from tinylm.runtime.forward import NgramSums, Outputs
from tinylm.tokens.windows import part, windows_for
from tinylm.tokens.wordpiece import Tokenizer

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of n texts, those of a text one after another; every vocabulary has as many of them."""

    rows: list[list[list[int]]]
    """For each vocabulary, for each window, its ids."""
    counts: npt.NDArray[np.int64]
    """(n,) windows of each text."""
    truncated: npt.NDArray[np.bool_]
    """(n,) whether the text goes on after what is read of it."""

    @classmethod
    def of(cls, texts: Sequence[str], vocabularies: Sequence[Vocabulary], most: int, *, at_once: bool) -> "Windows":
        """Encode texts and part them.

        Args:
            texts: n of them.
            vocabularies: what members read them with.
            most: windows of a text at most.
            at_once: give the tokenizer all texts in one call, which shares them among all cores.
        """
        ids: list[list[list[int]]] = []
        counts, truncated = np.ones(len(texts), np.int64), np.zeros(len(texts), np.bool_)
        for vocabulary in vocabularies:
            found: list[list[int]] = []
            cut: list[bool] = []
            inner = vocabulary.positions - 2
            for call in [texts] if at_once else [[text] for text in texts]:
                encoded, is_cut = vocabulary.tokenizer.encode_rows(call, most * inner)
                found += encoded
                cut += is_cut
            ids.append(found)
            if any(cut):
                truncated |= cut
            if max(map(len, found), default=0) > inner:
                counts = np.maximum(counts, windows_for(np.array([len(row) for row in found]), inner))
        rows = [_rows(v.tokenizer, found, counts) for v, found in zip(vocabularies, ids, strict=True)]
        return cls(rows, counts, truncated)

    @property
    def are_texts(self) -> bool:
        """Whether each text is one window."""
        return len(self.rows[0]) == len(self.counts)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(windows,) ids of each in the first vocabulary."""
        return np.array([len(row) for row in self.rows[0]], np.int64)

    @property
    def tokens(self) -> npt.NDArray[np.int64]:
        """(n,) ids of each text in the first vocabulary, with the special ones of its windows."""
        return self.lengths if self.are_texts else np.add.reduceat(self.lengths, self._begins)

    @cached_property
    def _begins(self) -> npt.NDArray[np.int64]:
        """(n,) the first window of each text."""
        return np.cumsum(self.counts) - self.counts

    def mean(self, of_windows: Array) -> Array:
        """The mean over the windows of each text, (n, ...), of something of each window, (windows, ...)."""
        if self.are_texts:
            return of_windows
        sums = np.add.reduceat(of_windows, self._begins)
        return np.asarray(sums / self.counts.reshape(-1, *[1] * (sums.ndim - 1)), np.float32)

    def pool(self, outputs: Outputs[Array], how: voting.Voting) -> tuple[Array, Array, Array | None]:
        """What a committee says of texts, from what it says of their windows.

        Args:
            outputs: of the windows, in their order.
            how: they vote.

        Returns:
            Probabilities (n, labels), votes (n, members, labels), and those of the linear n-gram classifier
            (n, labels), if there is one.
        """
        if self.are_texts:
            return outputs.probabilities, outputs.votes, outputs.ngrams
        votes = self.mean(outputs.votes)
        ngrams = None if outputs.ngrams is None else outputs.ngrams[self._begins]
        probabilities, several = outputs.probabilities[self._begins], self.counts > 1
        if ngrams is not None and outputs.ngram_sums is not None:
            ngrams[several] = self._whole(outputs.ngram_sums, how)[several]
        further = None if ngrams is None else ngrams[several]
        probabilities[several] = voting.vote(votes[several].swapaxes(0, 1), how, further)
        return probabilities, votes, ngrams

    def _whole(self, sums: NgramSums[Array], how: voting.Voting) -> Array:
        """(n, labels) probabilities that the linear n-gram classifier gives whole texts."""
        scores = np.add.reduceat(sums.scores.astype(np.float64), self._begins)
        squares = np.add.reduceat(sums.scale.reshape(-1, 1).astype(np.float64) ** -2, self._begins)
        logits = scores / np.sqrt(squares) + sums.bias
        if how.several:
            # As that of yes, where that of no is 0.
            asked = np.stack([np.zeros_like(logits), logits], axis=-1)
            return voting.apply_temperature(asked, 1.0)[..., 1].astype(np.float32)
        return voting.apply_temperature(logits, 1.0).astype(np.float32)


def _rows(tokenizer: Tokenizer, texts: Sequence[Sequence[int]], counts: npt.NDArray[np.int64]) -> list[list[int]]:
    """The windows of each text, one after another."""
    if len(counts) == counts.sum():
        return [[tokenizer.cls_id, *ids, tokenizer.sep_id] for ids in texts]
    begins, ends = part(np.array([len(ids) for ids in texts]), counts)
    of_windows = zip(np.repeat(np.arange(len(texts)), counts).tolist(), begins.tolist(), ends.tolist(), strict=True)
    return [[tokenizer.cls_id, *texts[text][begin:end], tokenizer.sep_id] for text, begin, end in of_windows]
