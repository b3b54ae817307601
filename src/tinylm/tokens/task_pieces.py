"""Pieces that a task adds to a vocabulary, in fine-tuning: its marks, and characters that the vocabulary lacks.

WordPiece would take a mark such as `<h>` apart into three pieces, so that what stands before an entity, its head or
its tail, is always `>`. As one piece, a mark and the word beside it are a bigram, and it is seen for what it is.

A character that the corpus did not have, an emoji perhaps, makes its whole word `[UNK]`, like all others of its kind.
As a piece it can be learnt from the labels.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from tinylm.tokens.wordpiece import SPECIAL_TOKENS, Tokenizer

_MARK = re.compile(r"</?[a-z]\w{0,19}>|\[/?[a-z]\w{0,19}\]", re.IGNORECASE)
_LEAST_TEXTS = 5
_MARKS_SHARE, _MOST_MARKS = 0.01, 100
_CHARACTERS_SHARE, _MOST_CHARACTERS = 0.001, 1000
"""Texts that have a mark or a character, as a share and as a number, and how many of them become pieces."""


def recurring_marks(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """Tags of up to 20 letters in angle or square brackets that recur, the most frequent first.

    Args:
        tokenizer: how they are normalised: in lower case, perhaps.
        texts: of a task; a mark stands in one of a hundred of them at least, and in five.
    """
    special = {tokenizer.normalised(token) for token in SPECIAL_TOKENS}
    found = (set(map(tokenizer.normalised, _MARK.findall(text))) - special for text in texts)
    return _recurring(found, max(_LEAST_TEXTS, _MARKS_SHARE * len(texts)), _MOST_MARKS)


def recurring_unknown_characters(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """Visible characters that recur and are in no piece of a vocabulary, the most frequent first.

    Args:
        tokenizer: the vocabulary.
        texts: of a task; a character stands in one of a thousand of them at least, and in five.
    """
    known = tokenizer.characters

    def lacking(text: str) -> set[str]:
        return set(filter(_is_visible, set(tokenizer.normalised(text)) - known))

    # Most texts are seen to be readable without being normalised, which takes ten times as long.
    readable = known.union(letter for letter in map(chr, range(128)) if not lacking(letter))
    found = (lacking(text) for text in texts if not readable.issuperset(text))
    return _recurring(found, max(_LEAST_TEXTS, _CHARACTERS_SHARE * len(texts)), _MOST_CHARACTERS)


def _is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ"


def _recurring(found: Iterable[set[str]], least: float, most: int) -> list[str]:
    texts_with = Counter(piece for of_text in found for piece in sorted(of_text))
    return [piece for piece, count in texts_with.most_common(most) if count >= least]
