"""A hash table of bigrams that a graph can read: ONNX has no binary search."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_PER_BUCKET = 4
"""Bigrams in a bucket on average: fewer buckets are wider, and all are as wide as the fullest."""


@dataclass(frozen=True)
class BigramIndex:
    """Codes by bucket, which is the code modulo the number of buckets."""

    codes: npt.NDArray[np.int64]
    """(buckets, slots); -1 in an empty slot."""

    rows: npt.NDArray[np.int32]
    """(buckets, slots) number of each bigram in the list, from 1; 0 in an empty slot."""

    @classmethod
    def of(cls, codes: npt.NDArray[np.int64]) -> "BigramIndex":
        """The index of distinct codes (bigrams,)."""
        buckets = _next_prime(len(codes) // _PER_BUCKET)
        bucket = codes % buckets
        order = np.argsort(bucket, kind="stable")
        sorted_buckets = bucket[order]
        slot = np.arange(len(codes)) - np.searchsorted(sorted_buckets, sorted_buckets)
        shape = buckets, int(slot.max(initial=0)) + 1
        index = cls(np.full(shape, -1, np.int64), np.zeros(shape, np.int32))
        index.codes[sorted_buckets, slot] = codes[order]
        index.rows[sorted_buckets, slot] = order + 1
        return index


def _next_prime(least: int) -> int:
    """The smallest prime that is no smaller: codes are products and sums, which a prime modulus spreads."""
    candidate = max(2, least)
    while any(candidate % divisor == 0 for divisor in range(2, int(candidate**0.5) + 1)):
        candidate += 1
    return candidate
