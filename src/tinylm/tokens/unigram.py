"""Training Unigram pieces for scripts without blanks between words: the same text gives the same pieces.

The trainer of `tokenizers` gives other pieces in every process, since it sums in the order of a randomly seeded hash
map, and takes ten times as long (docs/LOG.md). Here pairs are merged as in byte-pair encoding, to more pieces than
wanted; then text is parted into the likeliest pieces (Viterbi), pieces are weighed by how often that takes them, twice,
and those least taken are left out.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, trainers

from tinylm.tokens.scripts import Accents, Case, normaliser, runs, unigram_backend
from tinylm.tokens.wordpiece import SPECIAL_TOKENS

SAMPLE_CHARACTERS = 8_000_000
"""Characters of text to train on: merging takes ten times as long as where words recur."""

MIN_FREQUENCY = 2
"""Times that a pair must occur to be merged."""

LONGEST_PIECE = 16

_SURPLUS = 1.25
"""Pieces before the least taken are left out, by those wanted."""
_AT_ONCE = 1000


def train_unigram(
    documents: Sequence[str], vocab_size: int, alphabet: Sequence[str], case: Case, accents: Accents
) -> list[tuple[str, float]]:
    """The pieces and the logarithms of their shares, by id: special tokens, characters, then the longer ones.

    Args:
        documents: text, `SAMPLE_CHARACTERS` of it or less.
        vocab_size: pieces wanted at most; not less than special tokens and characters.
        alphabet: characters, each a piece.
        case: see `scripts.normaliser`.
        accents: see `scripts.normaliser`.
    """
    merging = tokenizers.Tokenizer(models.BPE(unk_token="[UNK]"))
    merging.normalizer, merging.pre_tokenizer = normaliser(case, accents), runs()
    trainer = trainers.BpeTrainer(
        vocab_size=round(vocab_size * _SURPLUS),
        min_frequency=MIN_FREQUENCY,
        limit_alphabet=len(alphabet),
        initial_alphabet=list(alphabet),
        special_tokens=[*SPECIAL_TOKENS],
        max_token_length=LONGEST_PIECE,
        show_progress=False,
    )
    merging.train_from_iterator(documents, trainer)
    vocabulary = merging.get_vocab(with_added_tokens=False)
    counts = dict(zip(sorted(vocabulary, key=vocabulary.__getitem__), _counts(merging, documents), strict=True))
    fixed = [*SPECIAL_TOKENS, *alphabet]
    merged = [piece for piece in counts if piece not in set(fixed)]
    for _ in range(2):
        pieces = _weighed([*fixed, *merged], counts)
        counts = dict(zip([*fixed, *merged], _counts(unigram_backend(pieces, case, accents), documents), strict=True))
        # Of pieces that are taken as often, those stay that were merged first.
        merged = sorted(merged, key=lambda piece: -counts[piece])[: vocab_size - len(fixed)]
    return _weighed([*fixed, *merged], counts)


def _weighed(pieces: Sequence[str], counts: dict[str, int]) -> list[tuple[str, float]]:
    taken = np.array([counts[piece] + 1.0 for piece in pieces[len(SPECIAL_TOKENS) :]])
    # Few digits, so that what is read back is what was written.
    scores = np.log(taken / taken.sum()).round(6).tolist()
    return [*((token, 0.0) for token in SPECIAL_TOKENS), *zip(pieces[len(SPECIAL_TOKENS) :], scores, strict=True)]


def _counts(backend: tokenizers.Tokenizer, documents: Sequence[str]) -> list[int]:
    """How often each piece is taken, by id."""
    counts: npt.NDArray[np.int64] = np.zeros(backend.get_vocab_size(), np.int64)
    for start in range(0, len(documents), _AT_ONCE):
        encodings = backend.encode_batch_fast(list(documents[start : start + _AT_ONCE]), add_special_tokens=False)
        ids = np.fromiter(itertools.chain.from_iterable(encoding.ids for encoding in encodings), np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    return [int(count) for count in counts]
