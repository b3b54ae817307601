"""Rare labels, rows of one source, and splits by time: which rows are on which side."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_fixtures import named

from tinylm.core.errors import InputError
from tinylm.text.sources import TaskSource, load_task
from tinylm.text.splits import choose_groups_nearest, held_out_rows, held_out_shares, joined_groups


def table(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def rare(tmp_path):
    """Ten rows of two labels, and one of each of two more."""
    rows = [f"text {i},{'ab'[i % 2]}" for i in range(20)]
    return table(tmp_path / "rare.csv", "text,label", [*rows, "the lift is stuck,lift", "dark stairs,stairs"])


def test_label_with_one_row_trains_and_is_never_held_out(rare):
    task = load_task(rare)
    assert task.labels == ("a", "b", "lift", "stairs")
    assert {("the lift is stuck", "lift"), ("dark stairs", "stairs")} <= set(named(task.train, task.labels))
    assert Counter(task.test.labels.tolist()) == {0: 2, 1: 2}
    (warning,) = [note for note in task.notes if note.startswith("warning")]
    assert warning == "warning: labels with one training row, which is learnt and never held out: lift, stairs"
    for fraction in (0.1, 0.2, 0.5):
        assert set(task.train.labels[held_out_rows(task.train, fraction, 0)]) == {0, 1}


def test_rare_labels_are_dropped_or_refused_on_request(rare):
    task = load_task(rare, rare="drop")
    assert task.labels == ("a", "b")
    assert not {"the lift is stuck", "dark stairs"} & {*task.train.texts, *task.test.texts}
    assert "warning: labels with one training row are left out, with their rows: lift, stairs" in task.notes
    assert set(task.train.labels) == set(task.test.labels) == {0, 1}
    with pytest.raises(InputError, match=r"leaves the label 'lift' 1 training row\(s\).*or take --rare keep or drop"):
        load_task(rare, rare="error")


def test_test_rows_of_a_dropped_label_are_dropped_and_the_others_keep_their_labels(tmp_path):
    rows = ["x,a", "x1,c", "x2,c", "x3,d", "x4,d"]
    train = table(tmp_path / "train.csv", "text,label", rows)
    test = table(tmp_path / "test.csv", "text,label", ["y,a", "y1,c", "y2,d"])
    task = load_task(train, test=test, rare="drop")
    assert named(task.test, task.labels) == [("y1", "c"), ("y2", "d")]
    assert named(task.train, task.labels) == [("x1", "c"), ("x2", "c"), ("x3", "d"), ("x4", "d")]


@settings(max_examples=100)
@given(st.data(), st.floats(0.05, 0.5), st.integers(0, 3))
def test_groups_are_never_parted_and_every_label_can_be_learnt(draw, fraction, seed):
    n = draw.draw(st.integers(2, 40))
    labels = np.array(draw.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    groups = draw.draw(st.lists(st.sampled_from("abcdefgh"), min_size=n, max_size=n))
    held = choose_groups_nearest(labels, groups, held_out_shares(labels, fraction), seed)
    assert not {g for g, h in zip(groups, held, strict=True) if h} & {
        g for g, h in zip(groups, held, strict=True) if not h
    }
    assert set(labels[~held]) == set(labels)


def test_groups_of_many_rows_come_near_to_the_fraction():
    labels, groups = np.arange(400) % 2, [str(row // 10) for row in range(400)]
    for seed in range(5):
        held = choose_groups_nearest(labels, groups, held_out_shares(labels, 0.2), seed)
        assert held.sum() == 80


def test_rows_that_share_a_text_or_a_source_are_one_group():
    assert joined_groups("aabcd", "xyyzw") == ("0", "0", "0", "3", "4")


def test_group_column_keeps_customers_on_one_side_of_every_split(tmp_path):
    rows = [f"text {i},{'ab'[i % 2]},c{i // 6}" for i in range(120)]
    source = TaskSource(str(table(tmp_path / "a.csv", "text,label,customer", rows)), group_column="customer")
    task = source.load(0)

    def customers(texts):
        return {int(text.split()[1]) // 6 for text in texts}

    assert not customers(task.train.texts) & customers(task.test.texts)
    assert len(task.test) == 24
    held = held_out_rows(task.train, 0.1, 5)
    assert held.any()
    assert not customers(task.train.take(np.flatnonzero(held)).texts) & customers(
        task.train.take(np.flatnonzero(~held)).texts
    )
    assert TaskSource.from_record(source.record()).load(0).fingerprint == task.fingerprint
    assert task.fingerprint != load_task(tmp_path / "a.csv").fingerprint


@pytest.mark.parametrize("as_text", [str, lambda i: f"2024-{1 + i // 28:02}-{1 + i % 28:02}"], ids=["numbers", "dates"])
def test_latest_fifth_is_the_test_part(tmp_path, as_text):
    order = np.random.default_rng(0).permutation(100)
    rows = [f"text {i},{'ab'[i % 2]},{as_text(i)}" for i in order]
    task = load_task(table(tmp_path / "a.csv", "text,label,when", rows), time_column="when")
    assert {int(text.split()[1]) for text in task.test.texts} == set(range(80, 100))
    assert len(task.train) == 80


def test_a_text_that_comes_again_later_is_on_neither_side(tmp_path):
    rows = [f"text {i % 90},{'ab'[i % 2]},{i}" for i in range(100)]
    task = load_task(table(tmp_path / "a.csv", "text,label,when", rows), time_column="when")
    assert (len(task.train), len(task.test)) == (80, 10)
    assert "10 later rows that share a text or group with an earlier one are left out." in task.notes


def test_a_label_that_only_later_rows_have_is_left_out_with_a_warning(tmp_path):
    rows = [*(f"text {i},{'ab'[i % 2]},{i}" for i in range(99)), "text 99,new,99"]
    path = table(tmp_path / "a.csv", "text,label,when", rows)
    task = load_task(path, time_column="when")
    assert task.labels == ("a", "b")
    assert "warning: labels that no training row has are left out, with their 1 test rows: new" in task.notes
    with pytest.raises(InputError, match="leaves the label 'new' 0 training"):
        load_task(path, time_column="when", rare="error")


WHEN, WEIGHT, GROUP = {"time_column": "when"}, {"weight_column": "w"}, {"group_column": "g"}
BAD = {
    "no time": (["a,x,2024-01-01,1,g", "b,y,then,1,g"], WHEN, "line 3: 'then' in 'when' is no time"),
    "two kinds": (["a,x,2024-01-01,1,g", "b,y,7,1,g"], WHEN, "'when' holds a number where .*line 2 holds a date"),
    "zones": (["a,x,2024-01-01T10:00Z,1,g", "b,y,2024-01-01,1,g"], WHEN, "a date without a time zone where .*line 2"),
    "one time": (["a,x,1,1,g", "b,y,1,1,g"], WHEN, "rows of one time only, 1.0"),
    "no weight": (["a,x,1,1,g", "b,y,1,heavy,g"], WEIGHT, "line 3: 'heavy' in 'w' is no weight"),
    "negative": (["a,x,1,1,g", "b,y,1,-2,g"], WEIGHT, "'-2' in 'w' is no weight"),
    "no group": (["a,x,1,1,g", "b,y,1,1,"], GROUP, "line 3 has no group in 'g'"),
    "one group": (["a,x,1,1,g", "b,y,1,1,g", "c,x,1,1,g"], GROUP, "no label a second training row that is not of one"),
    "no column": (["a,x,1,1,g"], {"group_column": "who"}, "has no column 'who'; .*: name one with --group-column"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_parted_is_refused(tmp_path, case):
    rows, arguments, message = BAD[case]
    with pytest.raises(InputError, match=message):
        load_task(table(tmp_path / "a.csv", "text,label,when,w,g", rows), **arguments)


def test_time_column_beside_a_test_part_is_refused(tmp_path):
    path = table(tmp_path / "a.csv", "text,label,when", [f"{i},{'ab'[i % 2]},{i}" for i in range(10)])
    with pytest.raises(InputError, match="has a test part, and time_column 'when' would make one"):
        load_task(path, test=path, time_column="when")
