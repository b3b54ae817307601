"""Training a vocabulary: the same corpus gives the same pieces, in bounded memory.

Pieces are WordPiece's where words have blanks between them, and Unigram's where the script has none.

Documents are kept by their hash, fewer of them the longer the corpus, so that what is kept is a fair sample
whatever the order. The trainer of `tokenizers` numbers the continuing characters (`##a`) in the order of a
randomly seeded hash map and breaks ties between merges by these numbers, so that two runs give different
vocabularies; here it is given all of them beforehand, in order.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable

import tokenizers
from tokenizers import models, trainers

from tinylm.core.errors import InputError
from tinylm.core.files import cache_folder, new_folder
from tinylm.core.progress import Progress, Silent
from tinylm.text.corpus import Corpus
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.scripts import (
    BITS_OF_A_WORD,
    Accents,
    Case,
    bits_of_a_word,
    normaliser,
    runs,
    unigram_backend,
    wordpiece_backend,
)
from tinylm.tokens.unigram import SAMPLE_CHARACTERS as UNIGRAM_CHARACTERS
from tinylm.tokens.unigram import train_unigram
from tinylm.tokens.wordpiece import SPECIAL_TOKENS, Tokenizer

SAMPLE_CHARACTERS = 64_000_000
"""Characters of text kept to train on."""

COVERAGE, ALPHABET = 0.9999, 1000
"""Characters that get pieces of their own: the most frequent ones that make up this share of the text, but so many
at least."""

MEASURED_CHARACTERS = 1_000_000
"""Characters of text that say whether its script has blanks between words."""

MIN_FREQUENCY = 2
"""Times that a pair must occur to be merged."""

_FORMAT = 3
_HASH_BITS = 64


def train_tokenizer(
    documents: Iterable[str],
    vocab_size: int,
    *,
    case: Case = "fold",
    accents: Accents = "keep",
    progress: Progress | None = None,
) -> Tokenizer:
    """Train a vocabulary: WordPiece, or Unigram where the script has no blanks between words.

    Args:
        documents: text; read once.
        vocab_size: pieces wanted, special tokens included. Text with too few repeated words gives fewer,
            which is reported.
        case: `fold` makes upper case lower, `keep` leaves text as it is.
        accents: `keep` leaves letters as they are (in NFC), `strip` takes accents and all other marks from them.
        progress: receives the stage, and a message where the vocabulary is smaller than requested.

    Raises:
        InputError: no text, or `vocab_size` leaves no room beside the special tokens and the characters.
    """
    progress = progress or Silent()
    progress.start("reading text for the vocabulary", None, "documents")
    kept = _sample(documents, progress)
    progress.finish()
    bits = _measured_bits(kept, case, accents)
    without_blanks = bits > BITS_OF_A_WORD
    if without_blanks:
        kept = _at_most(kept, UNIGRAM_CHARACTERS)
    alphabet, continuing = _alphabet(wordpiece_backend({}, case, accents), kept)
    if not alphabet:
        raise InputError("there is no text to train a vocabulary on; give documents with words in them")
    smallest = len(SPECIAL_TOKENS) + len(alphabet) + (0 if without_blanks else len(continuing))
    if vocab_size < smallest:
        raise InputError(
            f"a vocabulary of {vocab_size:,} has no room for the text's {len(alphabet):,} characters; "
            f"ask for at least {smallest:,}"
        )
    progress.start("training the vocabulary", None, "pieces")
    if without_blanks:
        pieces = train_unigram(kept, vocab_size, alphabet, case, accents)
        trained = Tokenizer(unigram_backend(pieces, case, accents))
    else:
        numbered = _train(wordpiece_backend({}, case, accents), kept, vocab_size, alphabet, continuing)
        trained = Tokenizer(wordpiece_backend({piece: i for i, piece in enumerate(numbered)}, case, accents))
    progress.finish()
    if without_blanks:
        progress.say(
            f"vocabulary: no blanks between words ({bits:.0f} bits from blank to blank, where words have up to "
            f"{BITS_OF_A_WORD:.0f}); pieces are found without them (Unigram)"
        )
    if trained.vocab_size < vocab_size:
        progress.say(
            f"vocabulary: {vocab_size:,} pieces requested, {trained.vocab_size:,} reached; "
            f"no further pair of pieces occurs {MIN_FREQUENCY} times in the text"
        )
    return trained


def corpus_tokenizer(
    corpus: Corpus,
    vocab_size: int = 30_000,
    *,
    case: Case = "fold",
    accents: Accents = "keep",
    progress: Progress | None = None,
) -> Tokenizer:
    """The vocabulary of a corpus, trained once and kept in tinylm's cache; see `train_tokenizer`."""
    facts = f"{_FORMAT}/{corpus.fingerprint}/{vocab_size}/{case}/{accents}"
    name = hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()
    kept = cache_folder() / "vocabularies" / name
    if not kept.is_dir():
        trained = train_tokenizer(corpus.documents(), vocab_size, case=case, accents=accents, progress=progress)
        with new_folder(kept) as temporary:
            trained.save(temporary)
    return load_tokenizer(kept)


def _sample(documents: Iterable[str], progress: Progress) -> list[str]:
    """Distinct documents whose hash is below a threshold, halved whenever `SAMPLE_CHARACTERS` are exceeded.

    What is kept depends on the documents alone, not on their order, and comes sorted by hash.
    """
    threshold = 1 << _HASH_BITS
    kept: dict[int, str] = {}
    size = 0
    for number, document in enumerate(documents, start=1):
        # No single document may be a large part of the sample.
        encoded = document[: SAMPLE_CHARACTERS // 64].encode("utf-8", "replace")
        key = int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "little")
        if key >= threshold or key in kept:
            continue
        kept[key] = encoded.decode()
        size += len(kept[key])
        while size > SAMPLE_CHARACTERS:
            threshold //= 2
            kept = {key: text for key, text in kept.items() if key < threshold}
            size = sum(map(len, kept.values()))
        if number % 10_000 == 0:
            progress.update(number)
    return [kept[key] for key in sorted(kept)]


def _at_most(documents: list[str], characters: int) -> list[str]:
    """The first documents that have so many characters together, the first one in any case."""
    ends = itertools.accumulate(map(len, documents))
    return documents[: max(1, sum(1 for _ in itertools.takewhile(lambda end: end <= characters, ends)))]


def _measured_bits(documents: list[str], case: Case, accents: Accents) -> float:
    """See `bits_of_a_word`."""
    normalise, part = normaliser(case, accents, split_chinese=False), runs()
    found: Counter[str] = Counter()
    for document in _at_most(documents, MEASURED_CHARACTERS):
        normal = normalise.normalize_str(document[:MEASURED_CHARACTERS])
        found.update(word for word, _ in part.pre_tokenize_str(normal) if word[0].isalnum() or len(word) > 1)
    return bits_of_a_word(found)


def _alphabet(backend: tokenizers.Tokenizer, documents: Iterable[str]) -> tuple[list[str], list[str]]:
    """The characters that get pieces, and those of them that also continue a word; both sorted."""
    words: Counter[str] = Counter()
    for document in documents:
        words.update(backend.normalizer.normalize_str(document).split())
    characters: Counter[str] = Counter()
    continuing: set[str] = set()
    for word, count in words.items():
        for piece, _ in backend.pre_tokenizer.pre_tokenize_str(word):
            continuing.update(piece[1:])
            for character in piece:
                characters[character] += count
    ordered = sorted(characters, key=lambda character: (-characters[character], character))
    covered = itertools.accumulate(characters[character] for character in ordered)
    enough = 1 + sum(1 for _ in itertools.takewhile(lambda n: n < COVERAGE * characters.total(), covered))
    common = ordered[: max(enough, ALPHABET)]
    return sorted(common), sorted(continuing.intersection(common))


def _train(
    backend: tokenizers.Tokenizer,
    documents: list[str],
    vocab_size: int,
    alphabet: list[str],
    continuing: list[str],
) -> list[str]:
    """The pieces in the order of their ids: special tokens, characters, continuing characters, merges."""
    fixed = [*SPECIAL_TOKENS, *(f"##{character}" for character in continuing)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_FREQUENCY,
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        special_tokens=fixed,
        show_progress=False,
    )
    trained = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer, trained.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    trained.train_from_iterator(documents, trainer)
    vocabulary = trained.get_vocab(with_added_tokens=False)
    known = dict.fromkeys([*SPECIAL_TOKENS, *alphabet, *fixed])
    merges = sorted(vocabulary.keys() - known.keys(), key=vocabulary.__getitem__)
    return [*known, *merges]
