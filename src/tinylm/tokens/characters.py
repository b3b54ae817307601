"""Character n-grams within the pieces of a vocabulary, by which pieces of one stem are alike."""

import numpy as np
from scipy import sparse

from tinylm.tokens.wordpiece import SPECIAL_TOKENS, Tokenizer

_SHORTEST, _LONGEST = 2, 5
"""Characters of an n-gram, the blank before a word among them; as many as are best for tf-idf (docs/LOG.md)."""


def character_ngrams(tokenizer: Tokenizer) -> sparse.csr_matrix:
    """How often each piece of a vocabulary has each run of 2 to 5 characters, of which the blank before a word is one.

    Returns:
        (vocab_size, n-grams) int64; special tokens have none. The n-grams are in the order of the pieces.
    """
    numbers = dict[str, int]()
    rows, columns = list[int](), list[int]()
    for index in range(tokenizer.vocab_size):
        piece = tokenizer.piece(index)
        if piece in SPECIAL_TOKENS:
            continue
        text = tokenizer.text_of_piece(index)
        for length in range(_SHORTEST, _LONGEST + 1):
            for start in range(len(text) - length + 1):
                rows.append(index)
                columns.append(numbers.setdefault(text[start : start + length], len(numbers)))
    counts = sparse.csr_matrix((np.ones(len(rows), np.int64), (rows, columns)), (tokenizer.vocab_size, len(numbers)))
    counts.sum_duplicates()
    return counts
