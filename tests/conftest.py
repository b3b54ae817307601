"""What the tests of several folders share: a cache of their own, a tiny language, its vocabulary and its tokens."""

import signal
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tinylm.core.errors import MissingExtraError

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

if find_spec("torch") is None:
    # `make test-python` and `make test-lowest` test the base installation: what needs an extra is skipped.
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call():
        try:
            return (yield)
        except (ModuleNotFoundError, MissingExtraError) as error:
            pytest.skip(str(error))


WORDS = 40
DATA = Path(__file__).parents[1].parent / "shared" / "data"


def pytest_configure() -> None:
    """Ctrl-C works also where tests run in the background of a shell, which has its children ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Models this small are slowed down by a second thread, the more so where cores are shared."""
    if find_spec("torch") is None:
        return
    import torch

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
    from tinylm.tokens.vocabulary import train_tokenizer

    return train_tokenizer(documents, 100)


@pytest.fixture(scope="session")
def tokens(documents, tokenizer, tmp_path_factory):
    from tinylm.text.corpus import open_corpus
    from tinylm.tokens.encoding import tokenise

    return tokenise(open_corpus(documents), tokenizer, cache=tmp_path_factory.mktemp("tokens"))


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"the real data sets are not at {DATA}")
    return DATA


@pytest.fixture
def tiny(tmp_path):
    """A vocabulary of letters and two words."""
    from tinylm.tokens.loading import load_tokenizer

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), "cat", "dog"]
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(pieces))
    return load_tokenizer(vocabulary)


class Heard:
    """A listener that keeps what is said."""

    def __init__(self):
        self.lines: list[str] = []
        self.stages: list[str] = []

    def say(self, message):
        self.lines.append(message)

    def start(self, what, total, unit):
        self.stages.append(what)

    def update(self, done, facts=""):
        pass

    def finish(self):
        pass


@pytest.fixture
def heard() -> Heard:
    return Heard()
