"""What the tests of several folders share: a cache of their own, a tiny language, its vocabulary and its tokens."""

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

WORDS = 40


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Models this small are slowed down by a second thread, the more so where cores are shared."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def words() -> list[str]:
    letters = np.random.default_rng(0).choice(list("abcdefghij"), size=(4 * WORDS, 4))
    return list(dict.fromkeys("".join(row) for row in letters))[:WORDS]


@pytest.fixture(scope="session")
def documents(words) -> list[str]:
    """Each word is followed by the next one of a circle, so that one hidden word can be told from its neighbours."""
    generator = np.random.default_rng(1)
    starts, lengths = generator.integers(0, WORDS, 600), generator.integers(3, 40, 600)
    texts = (
        " ".join(words[(start + i) % WORDS] for i in range(length))
        for start, length in zip(starts, lengths, strict=True)
    )
    return list(dict.fromkeys(texts))


@pytest.fixture(scope="session")
def tokenizer(documents):
    from tinylm.text.tokenizer import train_tokenizer

    return train_tokenizer(documents, 100)


@pytest.fixture(scope="session")
def tokens(documents, tokenizer, tmp_path_factory):
    from tinylm.text.corpus import open_corpus
    from tinylm.text.tokens import tokenise

    return tokenise(open_corpus(documents), tokenizer, cache=tmp_path_factory.mktemp("tokens"))
