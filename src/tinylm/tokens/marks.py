"""Marks in labelled texts, such as `<h>` and `</h>` around an entity; in fine-tuning each is a piece of its own.

WordPiece would take `<h>` apart into three pieces, so that what stands before an entity, its head or its tail, is
always `>`. As one piece, a mark and the word beside it are a bigram, and it is seen for what it is.
"""

import re
from collections import Counter
from collections.abc import Sequence

from tinylm.tokens.wordpiece import SPECIAL_TOKENS, Tokenizer

_MARK = re.compile(r"</?[a-z]\w{0,19}>|\[/?[a-z]\w{0,19}\]", re.IGNORECASE)
_LEAST_SHARE, _LEAST_TEXTS, _MOST = 0.01, 5, 100
"""Texts that have a mark, as a share and as a number, and how many marks become pieces."""


def recurring_marks(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """Tags of up to 20 letters in angle or square brackets that recur, the most frequent first.

    Args:
        tokenizer: how they are normalised: in lower case, perhaps.
        texts: of a task; a mark stands in one of a hundred of them at least, and in five.
    """
    special = {tokenizer.normalised(token) for token in SPECIAL_TOKENS}
    found = (set(map(tokenizer.normalised, _MARK.findall(text))) - special for text in texts)
    texts_with = Counter(mark for of_text in found for mark in sorted(of_text))
    least = max(_LEAST_TEXTS, _LEAST_SHARE * len(texts))
    return [mark for mark, count in texts_with.most_common(_MOST) if count >= least]
