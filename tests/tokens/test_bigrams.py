"""Which bigrams occur, against counting them one by one."""

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinylm.tokens import sequences as token_sequences
from tinylm.tokens.bigrams import bigram_codes, frequent_bigrams

VOCABULARY = 7


class Padded:
    """Sequences in memory, padded with 0."""

    def __init__(self, rows):
        self._rows = rows
        self.lengths = np.array([len(row) for row in rows])

    def __len__(self):
        return len(self._rows)

    def fetch(self, indices):
        width = self.lengths[indices].max()
        return np.array([self._rows[i] + [0] * (width - len(self._rows[i])) for i in indices], np.int64)


sequences = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9), min_size=1, max_size=12)


@given(sequences, st.integers(1, 3), st.integers(1, 20))
def test_bigrams_are_those_that_counting_one_by_one_finds(rows, min_count, most):
    counts = Counter(pair for row in rows for pair in pairwise(row))
    often = sorted((p for p in counts if counts[p] >= min_count), key=lambda p: (-counts[p], p))[:most]
    expected = sorted(previous * VOCABULARY + current for previous, current in often)
    whole = frequent_bigrams(Padded(rows), VOCABULARY, min_count=min_count, most=most)
    assert whole.tolist() == expected


def test_bigrams_do_not_depend_on_how_many_sequences_are_counted_at_a_time(monkeypatch):
    drawn = np.random.default_rng(0)
    rows = Padded([drawn.integers(0, VOCABULARY, drawn.integers(1, 9)).tolist() for _ in range(50)])
    whole = frequent_bigrams(rows, VOCABULARY, min_count=2, most=30)
    monkeypatch.setattr(token_sequences, "_CHUNK", 7)
    assert frequent_bigrams(rows, VOCABULARY, min_count=2, most=30).tolist() == whole.tolist()


def test_code_of_the_first_token_is_that_of_no_bigram_before_it():
    assert bigram_codes(np.array([[2, 5, 5]]), VOCABULARY).tolist() == [[2, 2 * VOCABULARY + 5, 5 * VOCABULARY + 5]]
