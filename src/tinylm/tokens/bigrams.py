"""Bigrams of token ids: their codes, and which of them occur in a set of sequences."""

import numpy as np
import numpy.typing as npt

from tinylm.tokens.sequences import Indices, Sequences, in_chunks


def bigram_codes(ids: npt.NDArray[np.integer], vocab_size: int) -> Indices:
    """A number for each token and the one before it: `previous * vocab_size + current`.

    Args:
        ids: (B, T); each sequence begins with [CLS], which stands nowhere else.
        vocab_size: size of the vocabulary.

    Returns:
        (B, T) int64. The first token has none before it; its number is that of no bigram that occurs.
    """
    previous = np.zeros(ids.shape, np.int64)
    previous[:, 1:] = ids[:, :-1]
    return previous * vocab_size + ids


def frequent_bigrams(sequences: Sequences, vocab_size: int, *, min_count: int, most: int) -> Indices:
    """Codes of the bigrams that occur often enough, padding left out.

    Args:
        sequences: n of them.
        vocab_size: size of the vocabulary.
        min_count: occurrences of each at least.
        most: how many to keep, the most frequent ones; of equal ones those of smaller code.

    Returns:
        (bigrams,) rising.
    """
    found = np.empty(0, np.int64)
    counts = np.empty(0, np.int64)
    for ids, real in in_chunks(sequences):
        # The first token has none before it.
        new, new_counts = np.unique(bigram_codes(ids, vocab_size)[:, 1:][real[:, 1:]], return_counts=True)
        both = np.concatenate([found, new])
        found, where = np.unique(both, return_inverse=True)
        counts = np.bincount(where, np.concatenate([counts, new_counts]), len(found)).astype(np.int64)
    frequent = np.flatnonzero(counts >= min_count)
    order = np.argsort(-counts[frequent], kind="stable")[:most]
    return np.sort(found[frequent[order]])


def look_up(listed: Indices, codes: npt.NDArray[np.integer]) -> Indices:
    """Where codes stand in a rising list, from 1; 0 for what is not in it."""
    if not len(listed):
        return np.zeros(codes.shape, np.int64)
    row = np.minimum(np.searchsorted(listed, codes), len(listed) - 1)
    return np.where(listed[row] == codes, row + 1, 0)
