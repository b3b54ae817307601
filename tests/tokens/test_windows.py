"""Windows hold every token of a text once, in order and evenly; and counting long texts finds those that are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinylm.core.seeds import numpy_generator
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.windows import count_longer, not_read, part, windows_for


@given(st.lists(st.integers(0, 400), min_size=1, max_size=9), st.integers(1, 126))
def test_windows_follow_one_another_and_are_as_few_and_even_as_can_be(tokens, length):
    given_tokens = np.array(tokens)
    counts = windows_for(given_tokens, length)
    begins, ends = part(given_tokens, counts)
    at = np.cumsum(counts) - counts
    for tokens_of_one, count, first in zip(tokens, counts.tolist(), at.tolist(), strict=True):
        spans = list(zip(begins[first : first + count], ends[first : first + count], strict=True))
        assert [position for begin, end in spans for position in range(begin, end)] == list(range(tokens_of_one))
        sizes = [end - begin for begin, end in spans]
        assert max(sizes) <= length and max(sizes) - min(sizes) <= 1
        assert count == 1 or (count - 1) * length < tokens_of_one


@pytest.fixture(scope="module")
def texts(documents):
    return ["", *documents[:20], " ".join(documents[:30]), " ".join(documents[:9])]


def test_sequences_are_the_windows_of_the_texts(tokenizer, texts):
    encoded = EncodedTexts(texts, tokenizer, 16, 64)
    ids, offsets = tokenizer.encode(texts)
    sequences = iter(encoded.fetch(np.array([number]))[0].tolist() for number in range(len(encoded)))
    for text, windows in enumerate(encoded.windows.tolist()):
        inner = [token for _ in range(windows) for token in next(sequences)[1:-1]]
        assert inner == ids[offsets[text] : offsets[text + 1]].tolist()[: 64 * 14]
    chosen = np.array([21, 3, 0])
    taken, alone = encoded.take(chosen), EncodedTexts([texts[index] for index in chosen], tokenizer, 16, 64)
    every = np.arange(len(alone))
    np.testing.assert_array_equal(taken.fetch(every), alone.fetch(every))


def test_what_is_drawn_is_a_stretch_from_anywhere_and_repeats(tokenizer, texts):
    encoded, every = EncodedTexts(texts, tokenizer, 16, 64), np.arange(len(texts))
    ids, offsets = tokenizer.encode(texts)
    starts = set()
    for step in range(40):
        drawn = encoded.draw(every, numpy_generator(0, "windows", step))
        np.testing.assert_array_equal(drawn, encoded.draw(every, numpy_generator(0, "windows", step)))
        for text, row in enumerate(drawn):
            inner, own = row[1 : encoded.drawn_lengths[text] - 1], ids[offsets[text] : offsets[text + 1]]
            found = [at for at in range(len(own) - len(inner) + 1) if (own[at : at + len(inner)] == inner).all()]
            assert found and len(inner) == min(14, len(own))
            starts |= {found[0]} if text == 22 else set()
    assert len(starts) > 20


def test_long_texts_are_counted(tokenizer, texts):
    lengths = np.diff(tokenizer.encode(texts)[1])
    for most in (1, 14, 30, 100, 1000):
        assert count_longer(texts, tokenizer, most) == (lengths > most).sum()
    assert count_longer(["x" * 2000], tokenizer, 100) == 0, "a word that is not known is one token, however long"


def test_the_sentence_says_what_to_do():
    assert not_read(0, 9, 128, "truncate") == not_read(0, 9, 128, "windows") == ""
    assert not_read(1200, 4000, 128, "truncate") == (
        "1,200 of 4,000 texts are longer than 128 tokens; what follows is not read: "
        "fine-tuning with --long windows reads all of a text"
    )
