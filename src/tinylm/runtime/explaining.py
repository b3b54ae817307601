"""Which words of a text the [CLS] readout attends to, from the attention to the tokens of each of its windows."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tinylm.runtime.batches import Vocabulary
from tinylm.runtime.predictions import Word

Array = npt.NDArray[np.float32]


def weigh_words(
    vocabularies: Sequence[Vocabulary], text: str, attention: Sequence[Sequence[Array]]
) -> tuple[tuple[Word, ...], float]:
    """The words of a text with the weight of their tokens, mean over members and windows; and what is on no word.

    Args:
        vocabularies: that members read with.
        text: the text.
        attention: for each window in the order of the text, for each vocabulary, (1, its members, T).
    """
    parts = len(attention) * sum(weights.shape[1] for weights in attention[0])
    found: dict[tuple[int, int], float] = {}
    for vocabulary, windows in zip(vocabularies, zip(*attention, strict=True), strict=True):
        of_tokens = np.concatenate([weights[0].sum(0)[1:-1] / parts for weights in windows])
        for (start, end), weight in _words(vocabulary, text, of_tokens):
            found[start, end] = found.get((start, end), 0.0) + weight
    words = tuple(Word(start, end, weight) for (start, end), weight in sorted(found.items()))
    return words, max(0.0, 1.0 - sum(word.weight for word in words))


def _words(vocabulary: Vocabulary, text: str, weights: Array) -> Iterator[tuple[tuple[int, int], float]]:
    """Spans of words and the sum of the weights of their tokens, which are all that were read."""
    number, span, total = None, (0, 0), 0.0
    tokens = vocabulary.tokenizer.word_spans(text, len(weights) + 2)
    for (word, start, end), weight in zip(tokens, weights.tolist(), strict=True):
        if number is not None and (word != number or word < 0):
            yield span, total
            span, total = (start, end), 0.0
        elif number is None:
            span = (start, end)
        number, span, total = word, (span[0], end), total + weight
    if number is not None:
        yield span, total
