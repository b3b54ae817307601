"""Readers of one file: formats, compression, and every way in which a file can be bad."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tinylm.core.errors import InputError
from tinylm.text.columns import task_columns, text_column
from tinylm.text.formats import is_supported, open_table
from tinylm.text.tables import PlainText

ROWS = [{"text": "a cat, or two", "label": "pet"}, {"text": 'say "dog"', "label": "bark"}]
CSV = 'text,label\n"a cat, or two",pet\n"say ""dog""",bark\n'
CONTENTS = {
    ".csv": CSV,
    ".tsv": 'text\tlabel\na cat, or two\tpet\n"say ""dog"""\tbark\n',
    ".jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
}


def write(path, content: bytes):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    elif path.suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as file:
            file.write(content)
    else:
        path.write_bytes(content)
    return path


def open_fasttext(path) -> PlainText:
    table = open_table(path)
    assert isinstance(table, PlainText)
    return table


@pytest.mark.parametrize("suffix", CONTENTS)
@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_formats_agree(tmp_path, suffix, compression):
    path = write(tmp_path / f"rows{suffix}{compression}", CONTENTS[suffix].encode())
    assert is_supported(path)
    assert open_table(path).columns() == ["text", "label"]
    assert [row for _, row in open_table(path).rows()] == ROWS


def test_plain_text_has_one_column(tmp_path):
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbfone\r\ntwo\n")
    assert list(open_table(path).rows()) == [(1, {"text": "one"}), (2, {"text": "two"})]


def test_a_row_is_known_by_the_line_where_it_begins(tmp_path):
    path = write(tmp_path / "a.csv", b'text\n"two\nlines"\n\nlast\n')
    assert list(open_table(path).rows()) == [(2, {"text": "two\nlines"}), (5, {"text": "last"})]


def test_class_names_stand_for_their_integers(tmp_path):
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    schema = pa.schema(
        [("label", pa.int64()), ("text", pa.string())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"label": [1, -1], "text": ["a", "b"]}, schema=schema), path)
    assert list(open_table(path).rows()) == [(1, {"label": "yes", "text": "a"}), (2, {"label": None, "text": "b"})]
    pq.write_table(pa.table({"label": [0, 7], "text": ["a", "b"]}, schema=schema), path)
    with pytest.raises(InputError, match=r"a\.parquet, row 2 has class 7"):
        list(open_table(path).rows())


def test_fasttext(tmp_path):
    path = write(
        tmp_path / "a.txt",
        b"__label__x hello there\n\n__label__y\tbye\n__label__a __label__b two of them\nnone at all\n",
    )
    assert list(open_fasttext(path).fasttext_rows()) == [
        (1, {"labels": ["x"], "text": "hello there"}),
        (3, {"labels": ["y"], "text": "bye"}),
        (4, {"labels": ["a", "b"], "text": "two of them"}),
        (5, {"labels": [], "text": "none at all"}),
    ]


BAD = {
    "open quote": ("a.csv", b'text,label\nfine,x\n"never closed,y\nmore,z\n', r"a\.csv, line 3"),
    "stray quote": ("a.csv", b'text,label\nfine,x\n"one" two,y\n', r"a\.csv, line 3"),
    "ragged": ("a.csv", b"text,label\na,b,c\n", r"a\.csv, line 2 has 3 fields"),
    "repeated column": ("a.csv", b"text,text\na,b\n", r"line 1 names the column 'text' twice"),
    "empty table": ("a.csv", b"", r"a\.csv is empty"),
    "bad JSON": ("a.jsonl", b'{"text": "a"}\n{"text": \n', r"a\.jsonl, line 2 is not JSON"),
    "JSON list": ("a.jsonl", b'["a"]\n', r"a\.jsonl, line 1 is no JSON object"),
    "deep JSON": ("a.jsonl", b"[" * 100_000, r"a\.jsonl, line 1 is not JSON"),
    "not UTF-8": ("a.txt", "fine\ncaf\xe9\n".encode("latin-1"), r"a\.txt, line 2, byte 4 .* not UTF-8"),
    "cut gzip": ("a.txt.gz", gzip.compress(b"line\n" * 1000)[:-8], r"a\.txt\.gz is cut short after line"),
    "not gzip": ("a.txt.gz", b"plain text", r"a\.txt\.gz is no intact gzip"),
    "not zstd": ("a.txt.zst", b"plain text", r"a\.txt\.zst cannot be read"),
    "not parquet": ("a.parquet", b"plain text", r"a\.parquet is no whole parquet file"),
    "unknown format": ("a.doc", b"text", r"a\.doc has no format"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_one_sentence(tmp_path, case):
    name, content, message = BAD[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refusal:
        list(open_table(path).rows())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("metadata", ["no JSON", "[]", "{}"])
def test_metadata_of_other_writers_names_no_classes(tmp_path, metadata):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"label": [1]}).replace_schema_metadata({"huggingface": metadata}), path)
    assert list(open_table(path).rows()) == [(1, {"label": 1})]


def test_cut_zstd(tmp_path):
    path = write(tmp_path / "a.txt.zst", b"".join(b"%d\n" % i for i in range(100_000)))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"a\.txt\.zst cannot be read after line .*Truncated"):
        list(open_table(path).rows())


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"no\.txt cannot be read .*No such file"):
        list(open_table(tmp_path / "no.txt").rows())


def test_columns_are_found_by_their_usual_names():
    assert text_column("f", ["Title", "TEXT"]) == "TEXT"
    assert text_column("f", ["Title", "TEXT"], "Title") == "Title"
    assert task_columns("f", ["intent", "sentence"]) == ("sentence", "intent")
    assert task_columns("f", ["utterance", "label"]) == ("utterance", "label")
    assert task_columns("f", ["text", "mood"]) == ("text", "mood")


@pytest.mark.parametrize(
    ("columns", "named", "message"),
    [
        (["a", "b"], {}, "f has no column that is known as text; it has 'a', 'b'"),
        (["text", "a", "b"], {}, "f has no column that is known as label"),
        (["text", "label"], {"text": "txt"}, "f has no column 'txt'; it has 'text', 'label'"),
        (["text", "label"], {"label": "text"}, "cannot be both"),
    ],
)
def test_columns_that_cannot_be_identified(columns, named, message):
    with pytest.raises(InputError, match=message):
        task_columns("f", columns, **named)


def test_open_table_decides_by_the_suffix_without_reading(tmp_path):
    names = {"a.txt": "line", "a.CSV.gz": "line", "b.tsv.zst": "line", "c.jsonl": "line", "d.parquet": "row"}
    for name, unit in names.items():
        path = tmp_path / name
        assert open_table(path).place(7) == f"{path}, {unit} 7"


@pytest.mark.parametrize("name", ["a.parquet.gz", "a.docx", "csv"])
def test_open_table_refuses_a_suffix_that_it_does_not_know(tmp_path, name):
    assert not is_supported(tmp_path / name)
    with pytest.raises(InputError, match="has no format that can be read"):
        open_table(tmp_path / name)
