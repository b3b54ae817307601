"""Several labels a text: every way to write them is read alike, and every label is on both sides of a split."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_fixtures import named_sets

from tinylm.core.errors import InputError
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS
from tinylm.text.memory import labelled_columns, task_in_memory
from tinylm.text.sources import TaskSource, load_examples, load_task
from tinylm.text.splits import hold_out, task_fingerprint
from tinylm.text.stratify import held_out_of_several

SETS = [("a",), ("a", "b"), (), ("b", "c"), ("c",), ("a", "c"), ("b",), ("a", "b", "c"), (), ("c", "b")] * 3
ROWS = [(f"text number {number}", labels) for number, labels in enumerate(SETS)]


def fasttext(folder):
    lines = (" ".join([*(f"__label__{label}" for label in labels), text]) for text, labels in ROWS)
    (folder / "a.txt").write_text("\n".join(lines))
    return {"source": folder / "a.txt"}


def jsonl(folder):
    # The first row has no list, and shows nothing of what follows.
    rows = [{"text": text, "labels": list(labels) or None} for text, labels in ROWS]
    rows[0]["labels"] = ROWS[0][1][0]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"source": folder / "a.jsonl"}


def parquet(folder):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts, sets = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"text": texts, "labels": [list(labels) for labels in sets]}), folder / "a.parquet")
    return {"source": folder / "a.parquet"}


def separated(folder):
    lines = (f"{text},{' | '.join(labels)}\n" for text, labels in ROWS)
    (folder / "a.csv").write_text("text,label\n" + "".join(lines))
    return {"source": folder / "a.csv", "label_separator": "|"}


def zeros_and_ones(folder):
    lines = (f"{','.join(str(int(x in labels)) for x in 'abc')},{text},7\n" for text, labels in ROWS)
    (folder / "a.csv").write_text("a,b,c,text,id\n" + "".join(lines))
    return {"source": folder / "a.csv", "label_columns": "a, b, c"}


@pytest.mark.parametrize("write", [fasttext, jsonl, parquet, separated, zeros_and_ones])
def test_every_way_to_write_them_is_read_alike(write, tmp_path):
    task = load_task(**write(tmp_path))
    assert task.problem_type == SEVERAL_LABELS and task.labels == ("a", "b", "c")
    read = named_sets(task.train, task.labels) | named_sets(task.test, task.labels)
    assert read == {text: set(labels) for text, labels in ROWS}
    assert 5 <= len(task.test) <= 7 and task.test.labels.any(axis=0).all()


def test_a_source_remembers_how_its_labels_are_written(tmp_path):
    separated(tmp_path)
    source = TaskSource(str(tmp_path / "a.csv"), label_separator="|")
    again = TaskSource.from_record(json.loads(json.dumps(source.record())))
    assert again.load(3).fingerprint == source.load(3).fingerprint


def test_plain_single_labels_stay_as_they_are(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"__label__{'xy'[number % 2]} text {number}\n" for number in range(20)))
    task = load_task(path)
    assert task.problem_type == ONE_LABEL and task.train.labels.ndim == 1
    path.write_text(path.read_text() + "one without a label\n")
    with pytest.raises(InputError, match=r"a\.txt, line 21 does not begin with __label__"):
        load_task(path)


def test_a_part_with_several_makes_both_parts_so(tmp_path):
    (tmp_path / "train.txt").write_text("__label__a one\n__label__b two\n__label__a three\n__label__b four\n")
    (tmp_path / "test.txt").write_text("__label__a __label__b five\nsix\n")
    task = load_task(tmp_path)
    assert task.train.labels.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert task.test.labels.tolist() == [[1, 1], [0, 0]]


def test_a_rare_label_is_kept_and_told(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"__label__{'ab'[n % 2]} text {n}\n" for n in range(20)))
    with (tmp_path / "a.txt").open("a") as file:
        file.write("__label__a __label__rare once\n")
    task = load_task(tmp_path / "a.txt")
    assert task.train.labels[:, 2].sum() == 1
    assert any("rare 1" in note for note in task.notes)


def test_a_file_for_a_model_is_read_as_the_model_answers(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("__label__a one\ntwo\n")
    assert load_examples(path, ("a", "b"), problem_type=SEVERAL_LABELS).labels.tolist() == [[1, 0], [0, 0]]
    path.write_text("__label__a __label__b one\n")
    with pytest.raises(InputError, match=r"a\.txt has several labels a text, and the model gives one"):
        load_examples(path, ("a", "b"))


@st.composite
def labelled(draw):
    texts, labels = draw(st.integers(2, 40)), draw(st.integers(1, 6))
    cells = draw(st.lists(st.booleans(), min_size=texts * labels, max_size=texts * labels))
    groups = draw(st.lists(st.integers(0, 30), min_size=texts, max_size=texts))
    return np.array(cells, dtype=np.int64).reshape(texts, labels), groups


@given(labelled(), st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_groups_are_never_parted_and_a_label_of_one_text_is_not_held_out(drawn, fraction, seed):
    labels, groups = drawn
    held = held_out_of_several(labels, groups, fraction, seed)
    assert all(len({bool(held[row]) for row, of in enumerate(groups) if of == group}) == 1 for group in set(groups))
    in_groups = np.stack([labels[np.array(groups) == group].any(axis=0) for group in sorted(set(groups))])
    once = labels[:, (in_groups.sum(axis=0) == 1) & (labels.sum(axis=0) == 1)]
    assert not held[once.any(axis=1)].any()
    np.testing.assert_array_equal(held, held_out_of_several(labels, groups, fraction, seed))


def test_each_label_has_its_share_on_both_sides():
    generator = np.random.default_rng(0)
    labels = (generator.random((600, 12)) < np.geomspace(0.005, 0.4, 12)).astype(np.int64)
    held = held_out_of_several(labels, range(600), 0.2, 1)
    total, chosen = labels.sum(axis=0), labels[held].sum(axis=0)
    assert held.sum() == pytest.approx(120, abs=6)
    assert (chosen[total > 1] > 0).all() and (chosen < total)[total > 1].all()
    assert np.abs(chosen - 0.2 * total).max() <= 3


def test_hold_out_keeps_texts_together_and_fingerprints_tell_the_forms_apart(tmp_path):
    task = load_task(**separated(tmp_path))
    train, held = hold_out(task.train, 0.3, 0)
    assert len(train) + len(held) == len(task.train) and held.labels.any(axis=0).all()
    assert task_fingerprint(task.labels, task.train) != task_fingerprint(task.labels, train)


def test_lists_of_classes_of_the_library_datasets_have_their_names(tmp_path):
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["joy", "anger", "neutral"])
    features = datasets.Features({"text": datasets.Value("string"), "labels": datasets.Sequence(names)})
    rows = {"text": [f"text {n}" for n in range(12)], "labels": [[], [0], [1, 2]] * 4}
    (tmp_path / "data").mkdir()
    for part in ("train", "test"):
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "data" / f"{part}.parquet")
    for source in (tmp_path / "data", f"hf://{tmp_path / 'data'}"):
        task = load_task(source)
        assert task.labels == ("anger", "joy", "neutral")
        assert task.test.labels[:3].tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 1]]


def test_lists_in_memory_are_several_labels():
    texts = [f"text {number}" for number in range(4)]
    task = task_in_memory(texts, [["a", 1], [], ("b",), np.array(["a"])])
    assert task.labels == ("1", "a", "b") and task.problem_type == SEVERAL_LABELS
    assert task.train.labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]]
    frame = {"text": texts, "labels": [["a"], None, "b", ["a", "b"]]}
    assert task_in_memory(*labelled_columns(frame, None, None)).train.labels.sum() == 4
    with pytest.raises(InputError, match="row 1: the list in 'labels' has an empty label"):
        task_in_memory(texts, [["a"], ["b", ""], [], []])


def test_groups_weights_and_times_are_for_several_labels_too(tmp_path):
    lines = [f"{text},{'|'.join(labels)},g{n // 3},{n % 2 + 1},{n}\n" for n, (text, labels) in enumerate(ROWS)]
    (tmp_path / "a.csv").write_text("text,label,customer,weight,day\n" + "".join(lines))
    task = load_task(tmp_path / "a.csv", label_separator="|", group_column="customer", weight_column="weight")
    group_of = {text: n // 3 for n, (text, _) in enumerate(ROWS)}
    assert not {group_of[text] for text in task.train.texts} & {group_of[text] for text in task.test.texts}
    assert set(task.train.weights.tolist()) == {1.0, 2.0}
    later = load_task(tmp_path / "a.csv", label_separator="|", time_column="day")
    assert later.test.texts == tuple(text for text, _ in ROWS[-6:])
    with pytest.raises(InputError, match="of which rare ones are kept; leave rare out"):
        load_task(tmp_path / "a.csv", label_separator="|", rare="drop")
