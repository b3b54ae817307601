"""The comparison where a text may have several labels: baselines learn, and every row has both measures."""

import numpy as np
import pytest
from several_fixtures import write_tickets

import tinylm
from tinylm.committee.thresholds import f1_scores
from tinylm.core.progress import Silent
from tinylm.evaluation.committees import evaluate_several_labels
from tinylm.study.baselines.several import fasttext_labels, tfidf_svm_labels
from tinylm.study.comparison_several import compare_several, several_table
from tinylm.text.sources import load_task
from tinylm.train.settings import FinetuneSettings


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tickets")
    write_tickets(folder)
    return load_task(folder / "labels.txt")


def test_a_machine_a_label_finds_the_labels(task):
    predicted = tfidf_svm_labels(task)
    assert predicted.shape == task.test.labels.shape and f1_scores(predicted, task.test.labels)[0] > 0.85
    np.testing.assert_array_equal(predicted, tfidf_svm_labels(task))


def test_fasttext_finds_the_labels(task):
    pytest.importorskip("fasttext")
    assert f1_scores(fasttext_labels(task), task.test.labels)[0] > 0.6


def test_every_row_has_both_measures(task, tmp_path, monkeypatch):
    from tinylm.study import comparison_several

    monkeypatch.setattr(comparison_several, "fasttext_labels", lambda task: task.test.labels == 1)
    settings = FinetuneSettings(steps=2, precision="float32", search=False)
    texts = list(task.train.texts)
    base = tinylm.pretrain(texts, output=tmp_path / "base", members=1, preset="bert-1-w128", steps=2)
    model = tinylm.finetune(base, task, output=tmp_path / "model", settings=settings)
    measured = evaluate_several_labels(model, task.test)
    rows = compare_several(tmp_path / "model", base, measured, task, settings, "probability", Silent())
    assert [row.name.partition(",")[0] for row in rows] == [
        "tf-idf + linear SVM a label",
        "fastText",
        "from scratch",
        "pre-trained",
    ]
    assert rows[1].micro_f1 == rows[1].macro_f1 == 1.0
    assert all(row.micro_interval[0] <= row.micro_f1 <= row.micro_interval[1] for row in rows)
    assert several_table("tickets", rows).row_count == 4 and (tmp_path / "model" / "results.json").is_file()
