"""Tasks: sources, sampling, splits, and every bad row."""

import json
from collections import Counter
from urllib.error import URLError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinylm.core.errors import InputError
from tinylm.text import fewrel
from tinylm.text.labelled import read_texts
from tinylm.text.sources import load_task
from tinylm.text.splits import Examples, hold_out


def write_csv(path, rows):
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


def many(labels="ab", rows=10):
    return [(f"text {label} {i}", label) for label in labels for i in range(rows)]


def test_a_single_file_is_split(tmp_path):
    path = write_csv(tmp_path / "a.csv", [*many(), ("same", "a"), ("same", "b"), ("same", "a")])
    task = load_task(path, seed=1)
    assert task.labels == ("a", "b")
    assert len(task.train) + len(task.test) == 23
    assert not set(task.train.texts) & set(task.test.texts)
    assert Counter(task.test.labels.tolist()) == {0: 2, 1: 2}
    assert "20% of each label" in task.notes[0]
    assert task.fingerprint == load_task(path, seed=1).fingerprint != load_task(path, seed=2).fingerprint


def test_folder_with_both_parts(tmp_path):
    write_csv(tmp_path / "train.csv", many())
    (tmp_path / "test.txt").write_text("__label__b one\n__label__a two\n")
    (tmp_path / "notes.md").write_text("not read")
    task = load_task(tmp_path)
    assert (len(task.train), task.test.texts, task.test.labels.tolist()) == (20, ("one", "two"), [1, 0])
    assert task.notes == ()


def test_named_test_file_and_shortfalls(tmp_path):
    train, test = write_csv(tmp_path / "a.csv", many(rows=5)), write_csv(tmp_path / "b.csv", many(rows=3))
    task = load_task(train, test=test, train_per_label=4, test_per_label=5)
    assert (len(task.train), len(task.test)) == (8, 6)
    assert task.notes == ("Fewer than 5 test rows: a 3, b 3.",)


def test_number_labels_are_ordered_by_value(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": f"{label} {i}", "label": label} for label in (10, 2, 1.0) for i in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert load_task(path).labels == ("1", "2", "10")


@pytest.mark.parametrize(
    ("name", "labels", "train", "test"), [("ag_news", 4, 1000, 1000), ("dbpedia_14", 14, 100, 100)]
)
def test_named_tasks(data, name, labels, train, test):
    task = load_task(name, data_dir=data)
    assert len(task.labels) == labels
    assert set(Counter(task.train.labels.tolist()).values()) == {train}
    assert set(Counter(task.test.labels.tolist()).values()) == {test}
    assert task.notes == ()


@pytest.mark.parametrize("name", ["ag_news", "fewrel"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_load_task_refuses_no_row_a_label(name, part):
    with pytest.raises(InputError, match=f"{part}_per_label=0 "):
        load_task(name, **{f"{part}_per_label": 0})


def test_hub_layout(data):
    task = load_task(f"hf://{data / 'ag_news'}", train_per_label=50, test_per_label=20)
    assert task.labels == ("Business", "Sci/Tech", "Sports", "World")
    assert (len(task.train), len(task.test)) == (200, 80)


def test_fewrel_is_split_by_sentence(data):
    task = load_task("fewrel", data_dir=data)
    assert len(task.labels) == 64
    assert "place served by transport hub" in task.labels
    assert set(Counter(task.test.labels.tolist()).values()) == {70}
    assert min(Counter(task.train.labels.tolist()).values()) > 615
    assert not set(task.train.texts) & set(task.test.texts)


def instance(tokens, head, tail):
    return {"tokens": tokens.split(), "h": ["", "", [head]], "t": ["", "", [tail]]}


def test_fewrel_markers_and_groups(tmp_path, monkeypatch):
    folder = tmp_path / "fewrel"
    folder.mkdir()
    rows = [instance(f"Rome {i} is in Italy", [0, 1], [4]) for i in range(5)]
    other = [instance(f"Rome {i} is in Italy", [4], [0]) for i in range(5)]
    (folder / "train_wiki.json").write_text(json.dumps({"P1": rows, "P2": other, "P3": rows}))
    (folder / "pid2name.json").write_text(json.dumps({"P1": ["in", ""], "P2": ["has", ""], "P3": ["in", ""]}))
    monkeypatch.setenv("TINYLM_DATA", str(tmp_path))
    task = load_task("fewrel-marked", train_per_label=4, test_per_label=1)
    assert task.labels == ("P1", "P3", "has")
    assert "<h> Rome 0 </h> is in <t> Italy </t>" in task.train.texts + task.test.texts
    plain = [text.translate(str.maketrans("", "", "<>/ht ")) for text in task.test.texts]
    assert len(set(plain)) == 1
    (folder / "train_wiki.json").write_text('{"P1": [{"tokens": ["a"], "h": ["", "", [[5]]], "t": 3}]}')
    with pytest.raises(InputError, match="relation P1, row 1 is not in FewRel's layout"):
        load_task("fewrel-marked")


def test_fewrel_download(tmp_path, monkeypatch):
    rows = {f"P{k}": [instance(f"{k} {i} x", [0], [2]) for i in range(5)] for k in range(2)}
    (tmp_path / "train_wiki.json").write_text(json.dumps(rows))
    monkeypatch.setattr(fewrel, "DOWNLOAD", f"{tmp_path.as_uri()}/")
    with pytest.raises(InputError, match=r"pid2name\.json cannot be fetched"):
        load_task("fewrel")
    (tmp_path / "pid2name.json").write_text("{}")
    assert load_task("fewrel").labels == ("P0", "P1")

    def unreachable(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(fewrel.urllib.request, "urlopen", unreachable)
    assert load_task("fewrel").labels == ("P0", "P1")


BAD = {
    "one label": ("text,label\na,x\nb,x\n", r"a\.csv has one label only, 'x'"),
    "no rows": ("text,label\n", r"a\.csv has no rows"),
    "blank text": ("text,label\na,x\n ,y\n", r"a\.csv, line 3 has no text in 'text'"),
    "no label": ("text,label\na,x\nb,\n", r"a\.csv, line 3 has no label in 'label'"),
    "one row a label": ("text,label\na,x\nb,y\nc,z\n", r"a\.csv leaves no label a second training row"),
    "no header": ("hello,x\nb,y\n", r"a\.csv has no column that is known as text; it has 'hello', 'x'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tasks(tmp_path, case):
    content, message = BAD[case]
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        load_task(path)


def test_unknown_label_in_the_test_part(tmp_path):
    train, test = write_csv(tmp_path / "a.csv", many()), write_csv(tmp_path / "b.csv", [("x", "a"), ("y", "c")])
    with pytest.raises(InputError, match=r"b\.csv, line 3 has the label 'c', which no training row has"):
        load_task(train, test=test)


def test_bad_values_and_places(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": {"x": 1}}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 1: the label in 'label' is dict"):
        load_task(path)
    path.write_text('{"text": 1, "label": "x"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 1: 'text' is int"):
        load_task(path)
    path.write_text('{"text": "a", "label": NaN}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 1 has no label"):
        load_task(path)
    with pytest.raises(InputError, match=r"nowhere is not there"):
        load_task(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"ag_news is not there"):
        load_task("ag_news", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"has no train\.csv"):
        load_task(tmp_path)
    with pytest.raises(InputError, match="train_per_label=1"):
        load_task(path, train_per_label=1)


def test_read_texts_keeps_order_and_blanks(tmp_path):
    plain, table = tmp_path / "a.txt", tmp_path / "a.csv"
    plain.write_text("one\n\ntwo\n")
    table.write_text('id,text\n1,one\n2,\n3,"two\nlines"\n')
    assert list(read_texts(plain)) == ["one", "", "two"]
    assert list(read_texts(table)) == ["one", "", "two\nlines"]
    assert list(read_texts(table, text_column="id")) == ["1", "2", "3"]


@settings(deadline=None, max_examples=200)
@given(st.data(), st.floats(0.05, 0.6), st.integers(0, 5))
def test_hold_out_is_stratified(draw, fraction, seed):
    counts = draw.draw(st.lists(st.integers(2, 12), min_size=1, max_size=4))
    labels = np.repeat(np.arange(len(counts)), counts)
    texts = tuple(draw.draw(st.lists(st.sampled_from("abcdefgh"), min_size=len(labels), max_size=len(labels))))
    train, validation = hold_out(Examples(texts, labels), fraction, seed)
    assert Counter(zip(texts, labels.tolist(), strict=True)) == Counter(
        zip(train.texts + validation.texts, train.labels.tolist() + validation.labels.tolist(), strict=True)
    )
    assert set(train.labels) == set(validation.labels) == set(labels)


def test_hold_out_keeps_the_same_text_on_one_side():
    texts = tuple(f"{i // 3}" for i in range(60))
    train, validation = hold_out(Examples(texts, np.arange(60) % 2), 0.2, seed=0)
    assert not set(train.texts) & set(validation.texts)
    assert Counter(validation.labels.tolist()) == {0: 6, 1: 6}
