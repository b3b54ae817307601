"""Tables as spreadsheets write them: other delimiters, other encodings, and workbooks."""

import datetime

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinylm.core.errors import InputError
from tinylm.text.formats import open_table
from tinylm.text.lines import read_lines
from tinylm.text.sources import load_task
from tinylm.text.written import new_table

ROWS = [("Drücker klemmt", "drück"), ("naïve, café; 5 €", "konto")]


def read(path, encoding="utf-8"):
    table = open_table(path, encoding)
    return table.columns(), [row for _, row in table.rows()]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ['"', ""])
def test_delimiter_is_found_where_the_usual_one_makes_one_column(tmp_path, name, delimiter, quote):
    header = delimiter.join(f"{quote}{column}{quote}" for column in ("text", "label"))
    (tmp_path / name).write_text(f'{header}\n"a, b; c\td"{delimiter}x\n')
    assert read(tmp_path / name) == (["text", "label"], [{"text": "a, b; c\td", "label": "x"}])


def test_one_column_is_one_column(tmp_path):
    (tmp_path / "a.csv").write_text("text\nno; really\n")
    assert read(tmp_path / "a.csv") == (["text"], [{"text": "no; really"}])


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "shift_jis"]
)
@pytest.mark.parametrize("size", [1, 40])
def test_encodings(tmp_path, encoding, size):
    rows = ROWS if encoding != "shift_jis" else [("プリンターが詰まった", "ー"), ("ソ表能", "x")]
    lines = ["text\tlabel", *("\t".join(row) for row in rows * size * 50)]
    path = tmp_path / "a.tsv"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    columns, records = read(path, encoding)
    assert columns == ["text", "label"]
    assert [tuple(record.values()) for record in records] == rows * size * 50


@settings(max_examples=60)
@given(st.lists(st.text("aä\n\r\x85\u2028", max_size=6), max_size=8), st.sampled_from(["utf-16", "cp1252", "utf-8"]))
def test_lines_are_those_of_the_decoded_text(tmp_path_factory, pieces, encoding):
    text = "\n".join(pieces).replace("\x85" if encoding == "cp1252" else "", "").replace("\u2028", "é")
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    path.write_bytes(text.encode(encoding))
    assert [line for _, line in read_lines(path, encoding)] == [x for x in text.replace("\n", "\n\0").split("\0") if x]


def test_what_cannot_be_decoded_is_named_with_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\n" + b"fine,x\n" * 20_000 + b"\x81,y\n" + b"fine,x\n" * 5)
    with pytest.raises(InputError, match=r"a\.csv, line 20002 is not cp1252; name another --encoding"):
        load_task(path, encoding="cp1252")
    with pytest.raises(InputError, match=r"line 20002, byte 1 .* is not UTF-8; name what it is .* --encoding cp1252"):
        load_task(path)
    path.write_bytes("text,label\n".encode("utf-16"))
    with pytest.raises(InputError, match="--encoding utf-16"):
        load_task(path)
    path.write_bytes("text,label\na,x".encode("utf-16")[:-1])
    with pytest.raises(InputError, match="line 2 is not utf-16"):
        load_task(path, encoding="utf-16")


@pytest.mark.parametrize("name", ["latin-99", "rot13", "base64", "a\0b"])
def test_an_encoding_that_is_none_is_refused(tmp_path, name):
    from tinylm.text.sources import TaskSource

    with pytest.raises(InputError, match="there is no encoding"):
        TaskSource("a.csv", encoding=name)


def workbook(path, rows, formats=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for place, number_format in formats:
        book.active[place].number_format = number_format
    book.create_sheet("other").append(["not", "read"])
    book.save(path)
    return path


def test_workbook_is_read_as_it_is_shown(tmp_path):
    rows = [
        [],
        ["text", "label", "when"],
        ["printer jam", 1, datetime.date(2024, 3, 31)],
        [None, None],
        ["no signal", 2.0, datetime.datetime(2024, 3, 31, 12, 30)],
        ["locked", 7, 0.5],
        ["open", True, 1.25],
    ]
    path = workbook(tmp_path / "a.xlsx", rows, [("B6", "00000"), ("C6", "0%"), ("C7", "0.0")])
    table = open_table(path)
    assert table.columns() == ["text", "label", "when"]
    assert [(number, tuple(row.values())) for number, row in table.rows()] == [
        (3, ("printer jam", "1", "2024-03-31")),
        (5, ("no signal", "2", "2024-03-31 12:30:00")),
        (6, ("locked", "00007", "50%")),
        (7, ("open", "TRUE", "1.2")),
    ]
    assert next(row for _, row in table.rows())["when"].value == datetime.datetime(2024, 3, 31)


def test_task_is_read_from_a_workbook(tmp_path):
    rows = [["text", "label"], *([f"text {i}", i % 2] for i in range(20))]
    assert load_task(workbook(tmp_path / "a.xlsx", rows)).labels == ("0", "1")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "is empty; give a table whose first row"),
        ([["text", None, "label"]], "row 1 names no column 2"),
        ([["text", "text"]], "names the column 'text' twice"),
        ([["text", "label"], ["a", "b", "c"]], "row 2 has 3 cells where the header has 2"),
        ([["text", "label"], [None, "x"]], "row 2 has no text in 'text'"),
    ],
)
def test_bad_workbooks(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        load_task(workbook(tmp_path / "a.xlsx", rows))


def test_what_is_no_workbook(tmp_path):
    (tmp_path / "a.xlsx").write_text("text,label\n")
    with pytest.raises(InputError, match=r"a\.xlsx is no whole workbook; save it again as \.xlsx"):
        load_task(tmp_path / "a.xlsx")
    whole = workbook(tmp_path / "b.xlsx", [["text", "label"], ["a", "b"]]).read_bytes()
    (tmp_path / "b.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="no whole workbook"):
        load_task(tmp_path / "b.xlsx")


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6).map(str.strip)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4),
    st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet", ".xlsx"]),
)
def test_what_is_written_is_read_again(tmp_path_factory, rows, suffix):
    folder = tmp_path_factory.mktemp("written")
    source = folder / "a.jsonl"
    source.write_text("{}")
    records = [{"text": f"x{text}", "note": note, "number": 0.25} for text, note in rows]
    with new_table(folder / f"b{suffix}", ["text", "note", "number"], open_table(source)) as write:
        write(records)
    columns, found = read(folder / f"b{suffix}")
    assert columns == ["text", "note", "number"]
    assert [(row["text"], row["note"] or "", float(row["number"])) for row in found] == [
        (row["text"], row["note"], 0.25) for row in records
    ]


def test_text_that_looks_like_a_formula_stays_text(tmp_path):
    (tmp_path / "a.csv").write_text("text\n=1+1\n")
    with new_table(tmp_path / "b.xlsx", ["text"], open_table(tmp_path / "a.csv")) as write:
        write([{"text": "=1+1"}])
    assert openpyxl.load_workbook(tmp_path / "b.xlsx").active["A2"].data_type == "s"


def test_nothing_is_left_of_a_table_that_fails(tmp_path):
    (tmp_path / "a.csv").write_text("text\nx\n")
    with (
        pytest.raises(InputError, match="has no column for 'b'"),
        new_table(tmp_path / "b.csv", ["a"], open_table(tmp_path / "a.csv")) as write,
    ):
        write([{"a": 1, "b": 2}])
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
