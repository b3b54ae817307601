"""The demo, on a small library's documentation and for a second a member."""

import json
from pathlib import Path

import pytest
from cli_fixtures import call, write_help_desk

from tinylm.study import demo
from tinylm.text.corpus import open_corpus
from tinylm.text.sources import load_task
from tinylm.train.settings import FinetuneSettings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The folder of a demo, how it was called, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    write_help_desk(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(demo, "library_task", lambda: (open_corpus("notes.txt"), load_task("labels.csv")))
        patch.setattr(demo, "FinetuneSettings", lambda: FinetuneSettings(steps=5, precision="float32"))
        patch.setattr(demo, "_BUDGET", "1s")
        yield folder, call("demo")


def test_demo_prints_the_comparison_and_what_to_type_next(shown):
    _, ran = shown
    assert ran.code == 0, ran.err
    for row in ("tf-idf + linear SVM", "from scratch, committee of 2", "pre-trained, committee of 2"):
        assert row in ran.out
    assert "demo/report.html" in ran.out and "tinylm predict demo '" in ran.out


def test_demo_leaves_a_model_and_a_report_that_needs_nothing_else(shown):
    folder, _ = shown
    assert call("predict", "demo", "printer jam").code == 0
    labelled = call("predict", "demo", "--file", "demo/labels/test.csv", "-o", "labelled.csv")
    assert labelled.code == 0 and "labelled rows in labelled.csv" in labelled.err
    report = (folder / "demo/report.html").read_text(encoding="utf-8")
    rows = json.loads((folder / "demo/results.json").read_text())["rows"]
    assert all(row["name"] in report and f"{100 * row['accuracy']:.1f} %" in report for row in rows)
    assert 'src="http' not in report


def test_demo_labels_measure_the_model_and_its_export(shown):
    _, ran = shown
    exporting = next(line.split() for line in ran.out.splitlines() if line.strip().startswith("tinylm export"))
    assert call(*exporting[1:], "--max-accuracy-drop", "100").code == 0
    for model in ("demo", "demo-small"):
        measured = json.loads(call("evaluate", model, "demo/labels", "--json").out)
        assert measured["n"] == len(load_task("labels.csv").test)
        assert measured["accuracy"] == pytest.approx(
            json.loads(Path("demo/results.json").read_text())["rows"][-1]["accuracy"], abs=0.2
        )


def test_demo_resumes_without_training_again_and_refuses_to_start_twice(shown):
    assert "already holds a run" in call("demo").error
    weights = {path: path.stat().st_mtime_ns for path in Path("demo").glob("**/model.safetensors")}
    assert len(weights) == 6
    assert call("demo", "--resume").code == 0
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
