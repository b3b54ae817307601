"""Every test has a cache of its own; real data is read from beside the repository where it is there."""

from pathlib import Path

import pytest

from tinylm.text.tokenizer import Tokenizer, load_tokenizer

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TINYLM_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("TINYLM_DATA", raising=False)


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"the real data sets are not at {DATA}")
    return DATA


@pytest.fixture
def tiny(tmp_path) -> Tokenizer:
    """A vocabulary of letters and two words."""
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
