"""Entities as marks in the text: what is marked, what stays, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinylm
from tinylm.core.errors import InputError
from tinylm.text.entities import mark_entities, mark_entities_of_cell
from tinylm.text.sources import load_examples, load_task
from tinylm.tokens.task_pieces import recurring_marks

TEXT = "Paris is in France"
CASES = {
    "two": ([(0, 5), (12, 18)], "<e1> Paris </e1> is in <e2> France </e2>"),
    "the second first": ([(12, 18), (0, 5)], "<e2> Paris </e2> is in <e1> France </e1>"),
    "named": ([(0, 5, "city"), [12, 18]], "<city> Paris </city> is in <e2> France </e2>"),
    "mappings": (
        [{"start": 0, "end": 5, "label": "city"}, {"start": 6, "end": 8}],
        "<city> Paris </city> <e2> is </e2> in France",
    ),
    "within": ([(6, 18), (12, 18)], "Paris <e1> is in <e2> France </e2> </e1>"),
    "within, from its beginning": ([(0, 5), (0, 18)], "<e2> <e1> Paris </e1> is in France </e2>"),
    "side by side": ([(0, 2), (2, 5)], "<e1> Pa </e1><e2> ris </e2> is in France"),
    "the same twice": ([(0, 5), (0, 5)], "<e1> <e2> Paris </e2> </e1> is in France"),
    "none": ([], TEXT),
}


@pytest.mark.parametrize("case", CASES)
def test_entities_are_marked(case):
    entities, marked = CASES[case]
    assert tinylm.mark_entities(TEXT, entities) == marked


@given(st.text(min_size=1, max_size=20), st.data())
def test_marks_alone_are_added_each_entity_within_its_own(text, draw):
    at = st.integers(0, len(text))
    spans = draw.draw(st.lists(st.tuples(at, at).filter(lambda span: span[0] < span[1]), max_size=4))
    marked = mark_entities(text, [(*span, f"mark{number}x") for number, span in enumerate(spans)])
    for number, (start, end) in enumerate(spans):
        inside = marked.split(f"<mark{number}x> ")[1].split(f" </mark{number}x>")[0]
        for other in range(len(spans)):
            inside = inside.replace(f"<mark{other}x> ", "").replace(f" </mark{other}x>", "")
        assert inside == text[start:end]


BAD = {
    "no list": ("7", "7 in 'where' is no list of entities; write"),
    "no JSON": ("[[0, 5]", r"'\[\[0, 5\]' in 'where' is no list of entities"),
    "one number": ("[[0]]", r"in 'where', \[0\] is no entity; write \[start, end\]"),
    "words": ('[["0", "5"]]', "is no entity"),
    "truth values": ("[[false, true]]", "is no entity"),
    "turned round": ("[[5, 0]]", "an entity from 5 to 0 does not lie in a text of 18 characters"),
    "empty": ("[[5, 5]]", "does not lie"),
    "beyond": ("[[12, 19]]", "an entity from 12 to 19 does not lie"),
    "below": ("[[-1, 3]]", "does not lie"),
    "a name of two words": ('[[0, 5, "a city"]]', "'a city' cannot name a mark"),
    "a name that is none": ("[[0, 5, null]]", "None cannot name a mark"),
    "a mapping without end": ('[{"start": 0}]', "is no entity"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_entity_is_refused(case):
    cell, message = BAD[case]
    with pytest.raises(InputError, match=rf"^a.csv, line 7: .*{message}"):
        mark_entities_of_cell(TEXT, cell, "where", "a.csv, line 7")


@pytest.mark.parametrize("cell", [None, "", "[]", []])
def test_a_text_may_have_no_entities(cell):
    assert mark_entities_of_cell(TEXT, cell, "where", "a.csv, line 7") == TEXT


@pytest.fixture
def rows():
    """Ten sentences, each with two relations between other entities."""
    found = []
    for i in range(10):
        text = f"the {i} of Rome saw Rome and Oslo"
        found.append({"text": text, "label": "in", "spans": [[4, 5], [9, 13]]})
        found.append({"text": text, "label": "saw", "spans": [[4, 5], [18, 22]]})
    return found


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_tasks_have_marked_texts_and_one_text_stays_on_one_side(tmp_path, rows, tokenizer):
    task = load_task(write(tmp_path / "a.jsonl", rows), entities="spans")
    assert {f"the <e1> {i} </e1> of <e2> Rome </e2> saw Rome and Oslo" for i in range(10)} <= {
        *task.train.texts,
        *task.test.texts,
    }
    digits = [{text.split("<e1> ")[1][0] for text in part.texts} for part in (task.train, task.test)]
    assert not digits[0] & digits[1]
    assert sorted(recurring_marks(tokenizer, task.train.texts)) == ["</e1>", "</e2>", "<e1>", "<e2>"]


def test_test_parts_and_files_read_whole_are_marked_too(tmp_path, rows):
    train, test = write(tmp_path / "train.jsonl", rows), write(tmp_path / "test.jsonl", rows[:4])
    marked = (
        "the <e1> 0 </e1> of <e2> Rome </e2> saw Rome and Oslo",
        "the <e1> 0 </e1> of Rome saw <e2> Rome </e2> and Oslo",
    )
    for task in (load_task(tmp_path, entities="spans"), load_task(train, test=test, entities="spans")):
        assert task.test.texts[:2] == marked
    assert load_examples(test, ("in", "saw"), entities="spans").texts[:2] == marked


def test_a_file_without_such_a_column_is_refused(tmp_path, rows):
    path = write(tmp_path / "a.jsonl", rows)
    with pytest.raises(InputError, match=r"has no column 'where'; it has .*: name one with --entities"):
        load_task(path, entities="where")
