"""Token files and the views on them, against naive implementations."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinylm.errors import InputError
from tinylm.storage import cache_folder
from tinylm.text import tokens as room
from tinylm.text.corpus import open_corpus
from tinylm.text.token_file import TokenFile, TokenWriter, entropy, id_dtype
from tinylm.text.tokens import FirstTokens, Packed, SeenTexts, split_documents, tokenise

CLS, SEP, PAD = 2, 3, 0


def test_a_corpus_becomes_a_file_once(tiny, heard, monkeypatch):
    corpus = open_corpus(["cat dog", "a", "cat dog", "\u200b", "cats"])
    tokens = tokenise(corpus, tiny, progress=heard)
    cat, dog, a, s = (tiny.pieces.index(piece) for piece in ("cat", "dog", "a", "##s"))
    assert tokens.ids.tolist() == [cat, dog, SEP, a, SEP, cat, s, SEP]
    assert tokens.ids.dtype == np.uint16
    assert tokens.offsets.tolist() == [0, 3, 5, 8]
    assert (len(tokens), tokens.meta.duplicates, tokens.meta.unreadable, tokens.meta.tokens) == (3, 1, 1, 8)
    assert tokens.counts[[cat, dog, a, s, SEP]].tolist() == [2, 1, 1, 1, 0]
    assert tokens.meta.entropy == pytest.approx(-(0.4 * np.log(0.4) + 3 * 0.2 * np.log(0.2)))
    assert "1 duplicates" in heard.lines[0]
    monkeypatch.setattr(room, "_encode", lambda *_: pytest.fail("encoded again"))
    assert tokenise(corpus, tiny).meta == tokens.meta


def test_real_text(tiny, data):
    corpus = open_corpus("wikipedia", data_dir=data, documents=1200, seed=1)
    tokens = tokenise(corpus, tiny)
    ids, offsets = tiny.encode(list(dict.fromkeys(corpus.documents())))
    for document in (0, 5, 1000, 1199):
        stored = tokens.ids[tokens.offsets[document] : tokens.offsets[document + 1]]
        assert stored.tolist() == [*ids[offsets[document] : offsets[document + 1]], SEP]


def test_wide_vocabularies_get_wide_ids():
    assert (id_dtype(65536), id_dtype(65537)) == (np.uint16, np.uint32)


def test_entropy_of_nothing_and_of_one():
    assert entropy(np.zeros(3, dtype=np.int64)) == entropy(np.array([0, 5])) == 0.0


def test_seen_texts_beyond_one_merge(monkeypatch):
    monkeypatch.setattr(SeenTexts, "_RECENT", 8)
    seen = SeenTexts()
    texts = [str(i) for i in range(100)]
    assert list(seen.new(texts + texts)) == texts
    assert seen.duplicates == 100


def test_a_full_disk_is_told(tiny, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(TokenWriter, "add", full)
    with pytest.raises(InputError, match=r"the disk of .* is full; free some space"):
        tokenise(open_corpus(["cat"]), tiny)
    assert list((cache_folder() / "tokens").iterdir()) == []


def test_a_corpus_without_a_word(tiny):
    with pytest.raises(InputError, match="has no word that the vocabulary can read"):
        tokenise(open_corpus(["\u200b"]), tiny)


def test_a_killed_pass_leaves_nothing_to_be_found(tiny, tmp_path):
    tiny.save(tmp_path / "vocabulary")
    script = (
        "import sys, time\n"
        "from tinylm.text.corpus import Corpus\n"
        "from tinylm.text.tokenizer import load_tokenizer\n"
        "from tinylm.text.tokens import tokenise\n"
        "def texts():\n"
        "    for i in range(5000):\n"
        "        yield f'cat {i}'\n"
        "    sys.stdout.write('half-way'); sys.stdout.flush()\n"
        "    time.sleep(60)\n"
        "tokenise(Corpus('x', 'x', texts), load_tokenizer(sys.argv[1]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", script, str(tmp_path / "vocabulary")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout.read(8) == b"half-way"
        process.send_signal(signal.SIGKILL)
    time.sleep(0.1)
    assert [path for path in (cache_folder() / "tokens").iterdir() if not path.name.startswith(".")] == []


documents_of_ids = st.lists(st.lists(st.integers(5, 50), min_size=1, max_size=12), min_size=1, max_size=8)


def token_file(documents: list[list[int]]) -> TokenFile:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with TokenWriter(folder, 60, SEP) as writer:
            for part in (documents[:3], documents[3:]):
                flat = np.array([i for document in part for i in document], dtype=np.int32)
                writer.add(flat, np.cumsum([0, *map(len, part)]))
            writer.finish(corpus="x", duplicates=0, pad_id=PAD, cls_id=CLS, fingerprint="x")
        return TokenFile.open(folder)


@settings(deadline=None, max_examples=150)
@given(documents_of_ids, st.integers(3, 16), st.data())
def test_first_tokens(documents, length, draw):
    chosen = draw.draw(st.lists(st.integers(0, len(documents) - 1), min_size=1, max_size=8))
    view = FirstTokens(token_file(documents), np.array(chosen), length)
    expected = [[CLS, *documents[i][: length - 2], SEP] for i in chosen]
    assert len(view) == len(chosen)
    assert view.lengths.tolist() == [len(row) for row in expected]
    check_rows(view, expected, draw)


@settings(deadline=None, max_examples=150)
@given(documents_of_ids, st.integers(2, 16), st.data())
def test_packed(documents, length, draw):
    chosen = draw.draw(st.lists(st.integers(0, len(documents) - 1), min_size=1, max_size=8))
    view = Packed(token_file(documents), np.array(chosen), length)
    stream = [token for i in chosen for token in [*documents[i], SEP]]
    count = -(-len(stream) // (length - 1))
    endless = stream * (length + 1)
    expected = [[CLS, *endless[i * (length - 1) : (i + 1) * (length - 1)]] for i in range(count)]
    assert len(view) == count
    assert view.lengths.tolist() == [length] * count
    check_rows(view, expected, draw)


def check_rows(view, expected, draw):
    indices = draw.draw(st.lists(st.integers(0, len(expected) - 1), min_size=1, max_size=8))
    rows = view.rows(np.array(indices))
    longest = max(len(expected[i]) for i in indices)
    assert rows.dtype == np.int64
    assert rows.tolist() == [expected[i] + [PAD] * (longest - len(expected[i])) for i in indices]


@pytest.mark.parametrize("view", [FirstTokens, Packed])
def test_views_refuse_what_gives_no_row(view):
    tokens = token_file([[5]])
    with pytest.raises(InputError, match="no document to make rows of"):
        view(tokens, np.zeros(0, dtype=np.int64))
    with pytest.raises(InputError, match="a length of 1 has no room"):
        view(tokens, np.array([0]), length=1)


@given(st.integers(2, 3000), st.integers(0, 3))
def test_split_documents(count, seed):
    train, validation = split_documents(count, seed, fraction=0.4, at_most=100)
    assert sorted([*train, *validation]) == list(range(count))
    assert 1 <= len(validation) <= 100
    assert len(train) >= 1


def test_one_document_cannot_be_split():
    with pytest.raises(InputError, match=r"has 1 document\(s\), and 2 are needed"):
        split_documents(1, 0)
