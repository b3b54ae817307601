"""Token files and the views on them, against naive implementations."""

import errno
import itertools
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
from vocabularies import pieces_of

from tinylm.core.errors import InputError
from tinylm.core.files import cache_folder
from tinylm.text.corpus import open_corpus
from tinylm.tokens import encoding as room
from tinylm.tokens.encoding import SeenTexts, tokenise
from tinylm.tokens.sequences import Packed, Pairs, Truncated, split_documents
from tinylm.tokens.token_file import TokenFile, TokenWriter, entropy, id_dtype

CLS, SEP, PAD = 2, 3, 0


def test_a_corpus_becomes_a_file_once(tiny, heard, monkeypatch):
    corpus = open_corpus(["cat dog", "a", "cat dog", "\u200b", "cats"])
    tokens = tokenise(corpus, tiny, progress=heard)
    cat, dog, a, s = (pieces_of(tiny).index(piece) for piece in ("cat", "dog", "a", "##s"))
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
        "from tinylm.tokens.loading import load_tokenizer\n"
        "from tinylm.tokens.encoding import tokenise\n"
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


def token_file(documents: list[list[int]], vocabulary: int = 60) -> TokenFile:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with TokenWriter(folder, vocabulary, SEP) as writer:
            for part in (documents[:3], documents[3:]):
                flat = np.array([i for document in part for i in document], dtype=np.int32)
                writer.add(flat, np.cumsum([0, *map(len, part)]))
            writer.finish(corpus="x", duplicates=0, pad_id=PAD, cls_id=CLS, fingerprint="x")
        return TokenFile.open(folder)


@settings(deadline=None, max_examples=150)
@given(documents_of_ids, st.integers(3, 16), st.data())
def test_first_tokens(documents, length, draw):
    chosen = draw.draw(st.lists(st.integers(0, len(documents) - 1), min_size=1, max_size=8))
    view = Truncated(token_file(documents), np.array(chosen), length)
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
    rows = view.fetch(np.array(indices))
    longest = max(len(expected[i]) for i in indices)
    assert rows.dtype == np.int64
    assert rows.tolist() == [expected[i] + [PAD] * (longest - len(expected[i])) for i in indices]


def numbered(lengths: list[int]) -> tuple[TokenFile, list[list[int]]]:
    """Documents of which no two tokens are the same, so that each says where it stands."""
    ends = np.cumsum([5, *lengths])
    documents = [list(range(start, end)) for start, end in itertools.pairwise(ends)]
    return token_file(documents, vocabulary=int(ends[-1])), documents


def passages(view: Pairs, indices: list[int], seed: int) -> list[tuple[list[int], list[int]]]:
    """What is between `[CLS]` and `[SEP]` of each pair, everything around it checked."""
    rows, lengths = view.draw(np.array(indices), np.random.default_rng(seed))
    assert (rows.dtype, lengths.dtype) == (np.int64, np.int64)
    assert rows.shape == (2 * len(indices), lengths.max())
    for row, length in zip(rows, lengths, strict=True):
        assert (row[0], row[length - 1]) == (CLS, SEP)
        assert (row[length:] == PAD).all()
    inner = [row[1 : length - 1].tolist() for row, length in zip(rows, lengths, strict=True)]
    return list(zip(inner[0::2], inner[1::2], strict=True))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=8), st.integers(4, 40), st.integers(0, 99), st.data())
def test_pairs_are_neighbouring_passages_of_one_document(sizes, length, seed, draw):
    sizes = [*sizes, 2]
    tokens, documents = numbered(sizes)
    chosen = draw.draw(st.permutations(range(len(sizes))))
    view = Pairs(tokens, np.array(chosen), length)
    indices = draw.draw(st.lists(st.integers(0, len(view) - 1), min_size=1, max_size=8))
    for before, after in passages(view, indices, seed):
        assert min(len(before), len(after)) >= 1
        assert max(len(before), len(after)) <= length - 2
        text = before + after
        document = next(document for document in documents if text[0] in document)
        start = document.index(text[0])
        assert text == document[start : start + len(text)]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=6), st.integers(4, 18))
def test_stretches_of_a_document_are_the_document(sizes, length):
    """Rows so short are never drawn shorter, so that many draws show a whole stretch."""
    tokens, documents = numbered([*sizes, 2])
    view = Pairs(tokens, np.arange(len(documents)), length)
    draws = [passages(view, list(range(len(view))), seed) for seed in range(30)]
    stretches = [sorted({i for pair in drawn for i in pair[0] + pair[1]}) for drawn in zip(*draws, strict=True)]
    with_pairs = [document for document in documents if len(document) > 1]
    assert [i for stretch in stretches for i in stretch] == [i for document in with_pairs for i in document]
    for document in with_pairs:
        inside = [len(stretch) for stretch in stretches if stretch[0] in document]
        assert len(inside) == -(-len(document) // (2 * (length - 2)))
        assert max(inside) - min(inside) <= 1


@pytest.mark.parametrize("size", range(2, 21))
def test_a_short_document_is_cut_in_two_and_shown_whole(size):
    tokens, documents = numbered([size, 1])
    view = Pairs(tokens, np.arange(2))
    assert len(view) == 1
    for seed in range(20):
        [(before, after)] = passages(view, [0], seed)
        assert before + after == documents[0]
        assert min(len(before), len(after)) >= min(8, size // 2)


def test_cuts_leave_room_for_a_passage_or_three_tenths():
    tokens, _ = numbered([100] * 50)
    view = Pairs(tokens, np.arange(50), length=128)
    cuts = set()
    for seed in range(60):
        pairs = passages(view, list(range(50)), seed)
        longest = max(len(passage) for pair in pairs for passage in pair)
        cut = {pair[1][0] % 100 - 5 for pair in pairs}
        assert min(longest, 30) <= min(cut) and max(cut) <= 100 - min(longest, 30)
        cuts |= cut
    assert {*range(25, 76)} <= cuts


def test_rows_of_a_draw_share_a_length_that_is_mostly_short():
    tokens, _ = numbered([250] * 20)
    view = Pairs(tokens, np.arange(20), length=64)
    longest = []
    for seed in range(600):
        lengths = {len(passage) for pair in passages(view, list(range(20)), seed) for passage in pair}
        longest.append(max(lengths))
        # Stretches are of 83 and 84 tokens.
        assert min(lengths) >= min(max(lengths), 24)
    assert (min(longest), max(longest) >= 55) == (16, True)
    assert 0.08 < np.mean(np.array(longest) > 32) < 0.2


@pytest.mark.parametrize("length", [3, 4, 12, 20])
def test_rows_shorter_than_short_ones_are_drawn_as_they_are(length):
    tokens, _ = numbered([60] * 9)
    view = Pairs(tokens, np.arange(9), length)
    for seed in range(20):
        longest = max(len(passage) for pair in passages(view, [0, 4, 8], seed) for passage in pair)
        assert min(length - 2, 16) <= longest <= length - 2


def test_the_generator_alone_decides_on_a_draw():
    tokens, _ = numbered([60] * 9)
    view = Pairs(tokens, np.arange(9), length=32)
    one, again, other = (passages(view, [3, 1, 8], seed) for seed in (0, 0, 1))
    assert one == again != other


def test_documents_of_one_token_give_no_pair():
    with pytest.raises(InputError, match=r"no document has two tokens, .* take packed or truncated sequences"):
        Pairs(token_file([[5], [6], [7, 8]]), np.array([0, 1]))


@pytest.mark.parametrize("view", [Truncated, Packed, Pairs])
def test_views_refuse_what_gives_no_row(view):
    tokens = token_file([[5]])
    with pytest.raises(InputError, match="no document to make sequences of"):
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
