"""How much of a task's tokens a text for pre-training has: overlap by token type, by frequency, and by idf.

With V the token types of the task's texts, S those of them that occur in the pre-training text, and w a weight of each:

    overlap_w = sum of w_t over S / sum of w_t over V

    types       w_t = 1                     the overlap of arXiv 2507.14871
    frequency   w_t = occurrences of t      the share of the task's running text that was seen in pre-training
    idf         w_t = log(n / d_t)          d_t of the task's n texts have t: rare words count more

[UNK] and the other special tokens are no token types.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.tokens.token_file import TokenFile
from tinylm.tokens.wordpiece import Tokenizer

By = Literal["types", "frequency", "idf"]

_TEXTS_AT_ONCE = 1000
_DOCUMENTS_AT_ONCE = 4096


@dataclass(frozen=True)
class TaskTokens:
    """The tokens of a task's texts."""

    counts: npt.NDArray[np.int64]
    """(vocabulary,) occurrences of each token; 0 for special ones."""
    texts_with: npt.NDArray[np.int64]
    """(vocabulary,) texts that have the token."""
    texts: int
    """How many texts there are."""

    @classmethod
    def of(cls, texts: Iterable[str], tokenizer: Tokenizer) -> "TaskTokens":
        """Count the tokens of texts; those of the training part alone, where a test part is to stay unseen.

        Raises:
            InputError: there is no token in them.
        """
        counts = np.zeros(tokenizer.vocab_size, np.int64)
        texts_with = np.zeros(tokenizer.vocab_size, np.int64)
        number, stream = 0, iter(texts)
        while chunk := list(islice(stream, _TEXTS_AT_ONCE)):
            ids, offsets = tokenizer.encode(chunk)
            of_text = np.repeat(np.arange(len(chunk), dtype=np.int64), np.diff(offsets))
            counts += np.bincount(ids, minlength=len(counts))
            once = np.unique(of_text * len(counts) + ids) % len(counts)
            texts_with += np.bincount(once, minlength=len(counts))
            number += len(chunk)
        special = [tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id]
        counts[special], texts_with[special] = 0, 0
        if not counts.any():
            raise InputError("the task's texts have no word that the vocabulary knows; use another vocabulary")
        return cls(counts, texts_with, number)

    @property
    def types(self) -> npt.NDArray[np.int64]:
        """Ids of the token types, rising."""
        return np.flatnonzero(self.counts)

    def weights(self, by: By) -> npt.NDArray[np.float64]:
        """(vocabulary,) weights of the token types, which sum to 1; see the module."""
        match by:
            case "types":
                weights = (self.counts > 0).astype(np.float64)
            case "frequency":
                weights = self.counts.astype(np.float64)
            case "idf":
                weights = np.where(self.counts > 0, np.log(self.texts / np.maximum(self.texts_with, 1)), 0.0)
        total = weights.sum()
        # A single text has every token in all of its texts, and idf tells none from another.
        return weights / total if total > 0 else self.weights("types")


@dataclass(frozen=True)
class Overlap:
    """Shares of a task's tokens that were seen in pre-training, 0 to 1; see the module."""

    types: float
    frequency: float
    idf: float


def overlap(task: TaskTokens, counts: npt.NDArray[np.int64]) -> Overlap:
    """The overlap of a text with a task.

    Args:
        task: tokens of the task.
        counts: (vocabulary,) occurrences of each token in the text for pre-training.
    """
    seen = counts > 0
    return Overlap(*(float(task.weights(by)[seen].sum()) for by in ("types", "frequency", "idf")))


def count_tokens(
    tokens: TokenFile, documents: npt.NDArray[np.int64] | None = None, length: int | None = None
) -> npt.NDArray[np.int64]:
    """Occurrences of each token in documents of a token file, without the [SEP] after each.

    Args:
        tokens: the corpus.
        documents: (n,) which documents; all when None.
        length: tokens of a document that are counted, from its beginning; all when None.

    Returns:
        (vocabulary,) int64.
    """
    if documents is None and length is None:
        return tokens.counts
    chosen = np.arange(len(tokens)) if documents is None else documents
    counts = np.zeros(tokens.meta.vocab_size, np.int64)
    for start in range(0, len(chosen), _DOCUMENTS_AT_ONCE):
        begins, ends = read_spans(tokens, chosen[start : start + _DOCUMENTS_AT_ONCE], length)
        counts += np.bincount(tokens.ids[positions(begins, ends)], minlength=len(counts))
    return counts


def read_spans(
    tokens: TokenFile, documents: npt.NDArray[np.int64], length: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where what is read of documents begins and ends in a token file, [SEP] left out: (n,) and (n,)."""
    begins = np.asarray(tokens.offsets[documents])
    ends = np.asarray(tokens.offsets[documents + 1]) - 1
    return begins, ends if length is None else np.minimum(ends, begins + length)


def positions(begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """All positions of spans, one span after another: (sum of lengths,)."""
    lengths = ends - begins
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(lengths.sum()) + np.repeat(begins - before, lengths))
