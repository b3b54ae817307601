"""A name means its data set, in whatever folder it is used, and a record says where that was found."""

import os

import pytest

import tinylm
from tinylm.core.runs import read_record
from tinylm.text.corpus import CorpusSource, open_corpus
from tinylm.text.sources import TaskSource, load_task


def write_task(folder, words):
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        lines = [f"{word} {part} {i},{word}\n" for i in range(30) for word in words]
        (folder / f"{part}.csv").write_text("text,label\n" + "".join(lines), encoding="utf-8")


@pytest.fixture
def shadowed(tmp_path, monkeypatch):
    """A data folder with the data set ag_news, and the current folder with another folder of that name."""
    write_task(tmp_path / "data" / "ag_news", ("cat", "dog"))
    write_task(tmp_path / "desk" / "ag_news", ("up", "down"))
    monkeypatch.chdir(tmp_path / "desk")
    monkeypatch.setenv("TINYLM_DATA", str(tmp_path / "data"))
    return tmp_path


def test_task_source_records_a_name_as_a_name_where_a_folder_has_it_too(shadowed, monkeypatch):
    task = tinylm_task("ag_news")
    assert task.source["source"] == "ag_news"
    assert task.labels == ("cat", "dog")
    assert tinylm_task("./ag_news").labels == ("down", "up")
    assert tinylm_task("./ag_news").source["source"] == os.path.abspath("ag_news")  # noqa: PTH100


def tinylm_task(name):
    return TaskSource(name).load(0)


def test_task_source_says_that_a_folder_has_the_name(shadowed):
    assert "./ag_news" in load_task("ag_news").notes[0]
    assert not load_task("./ag_news").notes


def test_task_source_records_the_data_folder_and_opens_from_its_record(shadowed, monkeypatch):
    monkeypatch.delenv("TINYLM_DATA")
    monkeypatch.chdir(shadowed)
    task = TaskSource("ag_news", data_dir="data").load(0)
    assert task.source["data_dir"] == str(shadowed / "data")
    monkeypatch.chdir(shadowed / "desk")
    assert TaskSource.from_record(task.source).load(0).fingerprint == task.fingerprint
    old = {name: value for name, value in task.source.items() if name != "data_dir"}
    assert TaskSource.from_record(old, shadowed / "data").load(0).fingerprint == task.fingerprint


def test_documents_are_drawn_of_an_open_corpus_too():
    corpus = open_corpus(["a", "b", "c"])
    assert len(list(CorpusSource(corpus, documents=2).open(1).documents())) == 2


def test_corpus_source_refuses_contradictions():
    for arguments, message in (
        ({"source": ["a"], "text_column": "text"}, "names a column"),
        ({"source": ""}, "empty name"),
        ({"source": "a.txt", "documents": 0}, "keeps none"),
    ):
        with pytest.raises(tinylm.TinyLMError, match=message):
            CorpusSource(**arguments)


def test_a_model_of_a_name_is_evaluated_on_the_data_set_of_its_training(shadowed, tmp_path):
    from tinylm.evaluation.examples import examples_to_evaluate

    settings = tinylm.PretrainSettings(steps=1, batch_size=8)
    base = tinylm.pretrain([f"cat dog {i}" for i in range(20)], preset="bert-1-w128", settings=settings)
    trained = tinylm.finetune(base, TaskSource("ag_news"), output=tmp_path / "model", epochs=1)
    assert read_record(tmp_path / "model")["task_source"]["source"] == "ag_news"
    examples = examples_to_evaluate(tmp_path / "model", trained.labels, TaskSource("ag_news"), None)
    assert len(examples) == 60
