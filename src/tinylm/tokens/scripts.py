"""What trained vocabularies make of text of any script: how it is normalised, and where it is parted.

Text is in NFC, its case is folded as `str.lower` does, and nothing else of it is lost: accents, vowel signs, tone
marks, and the joiners of Persian and of Indic scripts are kept. Characters that are never seen go: controls, marks of
direction, soft hyphens, and the selectors of how an emoji is drawn. A zero-width blank parts words as a blank does.
"""

from math import log2
from typing import Literal, get_args

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from tinylm.core.errors import InputError
from tinylm.tokens.wordpiece import SPECIAL_TOKENS

Case = Literal["fold", "keep"]
Accents = Literal["keep", "strip"]

LONGEST_WORD = 100
"""Characters of a word to WordPiece; longer ones are parted, since it takes the cube of a word's length in time."""

BITS_OF_A_WORD = 48.0
"""Where what stands between blanks has more bits on average, the script has no blanks between words. Real texts with
blanks have 43 at most (Malayalam), those without 55 (short Chinese reviews) to 294 (Tibetan): docs/LOG.md."""

_UNSEEN = (
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb]"
)
_FINAL_SIGMA = r"Σ(?!\p{L})(?<=\p{L}Σ)"
_WORD = rf"[^\s\u200b\p{{P}}\p{{S}}]{{1,{LONGEST_WORD}}}|[\p{{P}}\p{{S}}]"
# The Tibetan mark between syllables is punctuation to Unicode.
_RUN = r"\p{N}+|(?:\u0f0b|[^\s\u200b\p{P}\p{S}\p{N}])+|[\p{P}\p{S}]"


def require_choices(case: str, accents: str) -> None:
    """Refuse what is no choice.

    Raises:
        InputError: it is none.
    """
    for name, value, choices in (("case", case, get_args(Case)), ("accents", accents, get_args(Accents))):
        if value not in choices:
            raise InputError(f"{name} is {value!r}; give {' or '.join(choices)}")


def normaliser(case: Case, accents: Accents, *, split_chinese: bool = True) -> normalizers.Normalizer:
    """How text is normalised before it is parted.

    Args:
        case: whether it is folded.
        accents: whether marks are taken from letters, as BERT's uncased vocabularies do; vowel signs are marks as well.
        split_chinese: whether a Chinese character is a word.
    """
    fold = case == "fold"
    bert = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=split_chinese, strip_accents=accents == "strip", lowercase=fold
    )
    # Of the Greek capital at the end of a word `BertNormalizer` makes the letter that stands within one.
    sigma = [normalizers.Replace(tokenizers.Regex(_FINAL_SIGMA), "ς")] if fold else []
    unseen = normalizers.Replace(tokenizers.Regex(_UNSEEN), "")
    return normalizers.Sequence([unseen, *sigma, bert, normalizers.NFC()])


def words() -> pre_tokenizers.PreTokenizer:
    """Parts text at blanks and beside each punctuation mark and symbol, emoji among them."""
    return pre_tokenizers.Split(tokenizers.Regex(_WORD), "removed", invert=True)


def runs() -> pre_tokenizers.PreTokenizer:
    """The same where a script has no blanks: no run of text is too long, and numbers stand by themselves."""
    return pre_tokenizers.Split(tokenizers.Regex(_RUN), "removed", invert=True)


def bits_of_a_word(counts: dict[str, int]) -> float:
    """Mean length of what stands between blanks, times the entropy of a character: 0 for no word.

    A length alone does not tell Chinese from Malayalam, whose words are as long and whose letters are few.

    Args:
        counts: occurrences of each word.
    """
    characters: dict[str, int] = {}
    for word, count in counts.items():
        for character in word:
            characters[character] = characters.get(character, 0) + count
    total = sum(characters.values())
    entropy = sum(count / total * log2(total / count) for count in characters.values())
    return total / sum(counts.values()) * entropy if total else 0.0


def wordpiece_backend(vocabulary: dict[str, int], case: Case, accents: Accents) -> tokenizers.Tokenizer:
    """A trained WordPiece vocabulary, ids by piece."""
    backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normaliser(case, accents), words()
    backend.decoder = decoders.WordPiece()
    backend.add_special_tokens([token for token in SPECIAL_TOKENS if token in vocabulary])
    return backend


def unigram_backend(pieces: list[tuple[str, float]], case: Case, accents: Accents) -> tokenizers.Tokenizer:
    """A trained Unigram vocabulary: pieces and the logarithm of their share, special tokens first."""
    backend = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=SPECIAL_TOKENS.index("[UNK]")))
    # A Chinese character says as much as a short word: pieces of several are too rare to be learnt (docs/LOG.md).
    backend.normalizer, backend.pre_tokenizer = normaliser(case, accents), runs()
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens([*SPECIAL_TOKENS])
    return backend
