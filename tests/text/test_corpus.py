"""Corpora: what counts as a document, subsets, fingerprints, and the sources."""

import gzip
import itertools
import json
import logging
import os

import pytest

from tinylm.core.errors import InputError
from tinylm.text.corpus import CorpusSource, open_corpus
from tinylm.text.hub import open_hub
from tinylm.tokens.encoding import tokenise


def documents(source, **options):
    return list(open_corpus(source, **options).documents())


def test_a_document_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\n  two \n\n" + "\n".join(map(str, range(200))))
    assert documents(path)[:3] == ["one", "two", "0"]


def test_blank_lines_separate_paragraphs(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n\nfirst line\nsecond line\n \n\nother\n")
    assert documents(path) == ["first line\nsecond line", "other"]


def test_folder_glob_and_file_formats(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.jsonl").write_text('{"content": "from jsonl"}\n{"content": ""}\n{"content": null}\n')
    (tmp_path / "sub" / "a.csv").write_text("id,Text\n1,from csv\n")
    (tmp_path / "README.md").write_text("not read")
    (tmp_path / ".hidden.txt").write_text("not read")
    assert documents(tmp_path) == ["from jsonl", "from csv"]
    assert documents(str(tmp_path / "*.jsonl")) == ["from jsonl"]
    assert documents(str(tmp_path / "**" / "*.csv"), text_column="id") == ["1"]


def test_a_list_is_restartable_and_known_by_its_content():
    corpus = open_corpus(["one", " ", "two"])
    assert list(corpus.documents()) == list(corpus.documents()) == ["one", "two"]
    assert corpus.fingerprint == open_corpus(["one", " ", "two"]).fingerprint
    assert corpus.fingerprint != open_corpus(["one", " two"]).fingerprint


def test_subsets_are_nested_and_seeded(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(map(str, range(100))))
    small, large = documents(path, documents=10, seed=1), documents(path, documents=40, seed=1)
    assert len(small) == 10
    assert set(small) < set(large)
    assert small != documents(path, documents=10, seed=2)
    prints = [open_corpus(path, documents=n, seed=s).fingerprint for n, s in ((10, 1), (40, 1), (10, 2), (None, 1))]
    assert len(set(prints)) == 4


def test_the_fingerprint_follows_what_is_in_the_file(tmp_path):
    path, copy = tmp_path / "a.txt", tmp_path / "elsewhere" / "b.txt"
    path.write_text("one\n")
    before = open_corpus(path).fingerprint
    os.utime(path, ns=(1, 1))
    copy.parent.mkdir()
    copy.write_text("one\n")
    assert open_corpus(path).fingerprint == open_corpus(copy).fingerprint == before
    copy.write_text("two\n")
    assert open_corpus(copy).fingerprint != before


def test_corpus_fingerprint_follows_the_format(tmp_path, tiny):
    table, text = tmp_path / "a.csv", tmp_path / "a.txt"
    table.write_text("text,title\ncat,dog\na,a\n")
    text.write_bytes(table.read_bytes())
    prints = {open_corpus(path).fingerprint for path in (table, text)}
    prints.add(open_corpus(tmp_path).fingerprint)
    assert len(prints) == 3
    tokens = [tokenise(open_corpus(path), tiny, cache=tmp_path / "cache") for path in (table, text)]
    assert [len(file) for file in tokens] == [2, 3]


def test_the_fingerprint_follows_the_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,title\none,two\n")
    assert open_corpus(path).fingerprint != open_corpus(path, text_column="title").fingerprint


def test_hub_layout_in_a_local_folder(tmp_path):
    rows = [{"text": f"row {i}"} for i in range(50)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = f"hf://{tmp_path}"
    assert documents(source) == [row["text"] for row in rows]
    small, large = documents(source, documents=5, seed=3), documents(source, documents=20, seed=3)
    assert large[:5] == small
    with pytest.raises(InputError, match="50 documents, not 60"):
        documents(source, documents=60)
    (tmp_path / "train.jsonl").write_text('{"text": 5}\n')
    with pytest.raises(InputError, match="'text' is int, not text"):
        documents(source)


def test_hub_that_does_not_answer_is_said_once(monkeypatch, caplog):
    def unreachable(*_):
        requests = logging.getLogger("huggingface_hub.utils._http")
        for retry in range(1, 4):
            requests.warning("'no route' thrown while requesting HEAD https://hub/file")
            requests.warning(f"Retrying in {retry}s [Retry {retry}/5].")
        requests.warning("something else")
        raise ConnectionError("no route")

    monkeypatch.setattr(pytest.importorskip("datasets"), "load_dataset_builder", unreachable)
    for _ in range(2):
        caplog.clear()
        with pytest.raises(InputError, match="cannot be read from the hub"):
            open_hub("hf://org/name")
        assert caplog.messages == ["the hub does not answer; trying again for up to half a minute", "something else"]


def test_hub_names_and_failures(monkeypatch):
    with pytest.raises(InputError, match="hf://name names no hub data set"):
        open_corpus("hf://name")
    datasets = pytest.importorskip("datasets")

    def unreachable(*_):
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(datasets, "load_dataset_builder", unreachable)
    with pytest.raises(InputError, match=r"hf://org/name cannot be read from the hub \(ConnectionError: no route\)"):
        open_corpus("hf://org/name")


def test_wikipedia_by_name(data):
    corpus = open_corpus("wikipedia", data_dir=data)
    first = list(itertools.islice(corpus.documents(), 3))
    assert first[0].startswith("Taipei (literally")


def test_wikipedia_must_be_in_a_given_folder(tmp_path):
    with pytest.raises(InputError, match="wikipedia is not there"):
        open_corpus("wikipedia", data_dir=tmp_path)


def test_bad_corpora(tmp_path):
    with pytest.raises(InputError, match=r"no\.txt is not there"):
        open_corpus(tmp_path / "no.txt")
    with pytest.raises(InputError, match="has no file that can be read"):
        open_corpus(tmp_path)
    blank, short, odd = tmp_path / "blank.txt", tmp_path / "short.txt", tmp_path / "odd.jsonl"
    blank.write_text("\n \n")
    with pytest.raises(InputError, match=r"blank\.txt holds no document"):
        open_corpus(blank)
    with pytest.raises(InputError, match="holds no document"):
        open_corpus(blank, documents=1)
    short.write_text("one\ntwo\n")
    with pytest.raises(InputError, match=r"short\.txt has 2 documents, not 3"):
        open_corpus(short, documents=3)
    odd.write_text('{"text": "a"}\n{"texts": "b"}\n')
    with pytest.raises(InputError, match=r"odd\.jsonl, line 2 has no 'text', only 'texts'"):
        documents(odd)
    odd.write_text('{"text": "a"}\n{"text": 5}\n')
    with pytest.raises(InputError, match=r"odd\.jsonl, line 2: 'text' is int"):
        documents(odd)
    with pytest.raises(InputError, match="document 1 of the list is int"):
        open_corpus(["a", 1])  # type: ignore[list-item]
    with pytest.raises(InputError, match="an empty name"):
        open_corpus("")
    with pytest.raises(InputError, match="documents=0"):
        open_corpus(["a"], documents=0)


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl.gz"])
def test_corpus_of_another_encoding(tmp_path, name):
    texts = ["café", "garçon"]
    lines = {"a.txt": texts, "a.csv": ["text", *texts], "a.jsonl.gz": [f'{{"text": "{text}"}}' for text in texts]}
    raw = "".join(f"{line}\n" for line in lines[name]).encode("cp1252")
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    with pytest.raises(InputError, match="not UTF-8; name what it is with --corpus-encoding, for instance --co"):
        documents(path)
    assert documents(path, encoding="cp1252") == documents(path, encoding="latin-1") == texts
    prints = {open_corpus(path, encoding=encoding).fingerprint for encoding in ("cp1252", "latin-1")}
    assert len(prints) == 2, "which characters there are depends on it"
    with pytest.raises(InputError, match="there is no encoding 'cp9999'; give one that Python knows"):
        CorpusSource(path, encoding="cp9999")
