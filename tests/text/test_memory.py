"""Texts and labels in memory: whatever holds them, they are the task that a file of them is."""

import numpy as np
import pytest

from tinylm.core.errors import InputError
from tinylm.text.corpus import Corpus, CorpusSource
from tinylm.text.lines import UTF_8
from tinylm.text.memory import corpus_source, label_strings, labelled_columns, strings, task_in_memory

datasets = pytest.importorskip("datasets")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

TEXTS = ["paper jam", "no signal", "toner is low", "wifi is slow"]
LABELS = ["printer", "network", "printer", "network"]
TASK = task_in_memory(TEXTS, LABELS)

COLUMNS = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "array": np.array,
    "array of objects": lambda values: np.array(values, dtype=object),
    "pandas": pd.Series,
    "pandas, other index": lambda values: pd.Series(values, index=[7, 3, 3, 1]),
    "pandas, categorical": lambda values: pd.Series(values, dtype="category"),
    "arrow": pa.array,
    "arrow, in chunks": lambda values: pa.chunked_array([values[:1], values[1:]]),
    "arrow, dictionary": lambda values: pa.array(values).dictionary_encode(),
    "datasets": lambda values: datasets.Dataset.from_dict({"x": values})["x"],
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_each_kind_of_column_is_the_same_task(column):
    assert task_in_memory(column(TEXTS), column(LABELS)).fingerprint == TASK.fingerprint


FRAMES = {
    "dictionary": dict,
    "pandas": pd.DataFrame,
    "arrow": pa.table,
    "datasets": datasets.Dataset.from_dict,
}


def task_of_frame(frame, text_column, label_column):
    return task_in_memory(*labelled_columns(frame, text_column, label_column))


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_each_kind_of_table_is_the_same_task(frame):
    usual = frame({"text": TEXTS, "label": LABELS})
    assert task_of_frame(usual, None, None).fingerprint == TASK.fingerprint
    named = frame({"note": TEXTS, "x": [1, 2, 3, 4], "kind": LABELS})
    assert task_of_frame(named, "note", "kind").fingerprint == TASK.fingerprint
    opened = corpus_source(named, "note", UTF_8, None, None).open(0)
    assert list(opened.documents()) == TEXTS
    assert opened.fingerprint == CorpusSource(TEXTS).open(0).fingerprint


def test_a_table_that_does_not_say_its_columns_is_asked_for_two():
    class Table:
        def __getitem__(self, column):
            return {"a": TEXTS, "b": LABELS}[column]

    assert task_of_frame(Table(), "a", "b").fingerprint == TASK.fingerprint
    with pytest.raises(InputError, match="Table does not say which columns it has; name two with text_column and"):
        task_of_frame(Table(), "a", None)
    with pytest.raises(InputError, match=r"Table gives no column \('c'\); give texts="):
        task_of_frame(Table(), "c", "b")


def test_all_rows_are_trained_on_and_the_task_repeats():
    assert TASK.labels == ("network", "printer") and len(TASK.train) == 4 and len(TASK.test) == 0
    assert TASK.train.labels.tolist() == [1, 0, 1, 0]
    other = task_in_memory(TEXTS, LABELS[::-1])
    assert other.fingerprint != TASK.fingerprint


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([3, 1, 10, 1], ["3", "1", "10", "1"]),
        ([True, False], ["True", "False"]),
        (np.array([True, False]), ["True", "False"]),
        (np.array([1, 0], dtype=np.uint8), ["1", "0"]),
        ([np.int64(1), np.float32(2.0), 0.5], ["1", "2", "0.5"]),
        (pd.Series([1.0, 2.0]), ["1", "2"]),
        ([" a", np.str_("b ")], ["a", "b"]),
    ],
)
def test_names_of_labels(labels, names):
    assert label_strings(labels) == names


def test_classes_of_a_data_set_have_their_names():
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["network", "printer"]))
    frame = datasets.Dataset.from_dict({"text": TEXTS, "label": [1, 0, 1, 0]}, features=features)
    assert task_of_frame(frame, None, None).fingerprint == TASK.fingerprint


NO_TASK = [
    (TEXTS, LABELS[:3], "there are 4 texts and 3 labels; give as many of each"),
    ("paper jam", LABELS, "texts is one string, 'paper jam'; give a list of them"),
    (TEXTS, "printer", "labels is one string, 'printer'; give a list of them"),
    ([], [], "texts and labels are empty; give labelled text"),
    (5, LABELS, "texts is int; give a list or a column"),
    (set(TEXTS), LABELS, "texts is a set, which has no order; give a list"),
    (pd.DataFrame({"text": TEXTS}), LABELS, "texts is DataFrame, a table; give one of its columns"),
    (np.array([TEXTS]), LABELS, "texts is an array of 2 dimensions; give one of 1"),
    (["a", None], ["x", "y"], "texts, row 1, is missing; give a string a row"),
    (pd.Series(["a", np.nan]), ["x", "y"], "texts, row 1, is missing; give a string a row"),
    (pd.Series(["a", pd.NA], dtype="string"), ["x", "y"], "texts, row 1, is missing; give a string a row"),
    (["a", b"b"], ["x", "y"], "texts, row 1, is bytes, not a string; give a string a row"),
    (["a", " "], ["x", "y"], "texts, row 1, is blank; fill it in or leave the row out"),
    (["a", "b"], ["x", None], "labels, row 1, is missing; fill it in or leave the row out"),
    (["a", "b"], [float("nan"), 1.0], "labels, row 0, is missing; fill it in or leave the row out"),
    (["a", "b"], ["x", ""], "labels, row 1, is missing; fill it in or leave the row out"),
    (["a", "b"], ["x", object()], "labels, row 1, is object; give a name or number a row"),
    (["a", "b"], ["x", "x"], "the texts in memory have one label only, 'x'; there is nothing to tell apart"),
]


@pytest.mark.parametrize(("texts", "labels", "message"), NO_TASK, ids=[message for *_, message in NO_TASK])
def test_what_is_no_task_is_said_in_a_sentence(texts, labels, message):
    with pytest.raises(InputError) as raised:
        task_in_memory(texts, labels)
    assert str(raised.value) == message


def test_what_is_no_table_or_corpus_is_said_in_a_sentence():
    with pytest.raises(InputError, match=r"no column 'body'; it has 'text', 'label': name one with text_column"):
        task_of_frame(pd.DataFrame({"text": TEXTS, "label": LABELS}), "body", None)
    parts = datasets.DatasetDict(train=datasets.Dataset.from_dict({"text": TEXTS, "label": LABELS}))
    with pytest.raises(InputError, match="DatasetDict has the parts 'train'; give one of them"):
        task_of_frame(parts, None, None)
    with pytest.raises(InputError, match="column 'text', row 0, is int, not a string; give a string a row"):
        corpus_source(pd.DataFrame({"text": [1, 2]}), None, UTF_8, None, None)
    with pytest.raises(InputError, match="text_column='body' names a column, and the texts in memory have none"):
        corpus_source(TEXTS, "body", UTF_8, None, None)
    with pytest.raises(InputError, match="texts, row 2, is missing"):
        strings(["a", "b", None], "texts")


def test_what_is_a_corpus_already_stays_it():
    source = CorpusSource(TEXTS)
    assert corpus_source(source, None, UTF_8, None, None) is source
    assert isinstance(corpus_source("notes.txt", None, UTF_8, None, None).source, str)
    assert isinstance(source.open(0), Corpus)
