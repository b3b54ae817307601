"""An export equals what was trained, measures what 8 bits cost, and leaves nothing behind where it fails."""

import json
import re
import shutil

import numpy as np
import onnxruntime
import pytest
from cli_fixtures import call, rows, write_csv
from huggingface_hub import ModelCard
from vocabularies import sequences
from voters import LABELS, torch_votes, write_voters

from tinylm.core.errors import InputError, TinyLMError
from tinylm.core.runs import claim
from tinylm.evaluation.out_of_fold import open_out_of_fold
from tinylm.exporting import exporter, parity
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd
from tinylm.runtime.loading import load
from tinylm.steps.export import export
from tinylm.text.sources import TaskSource


@pytest.fixture(scope="module")
def committee(tokenizer, tmp_path_factory):
    return write_voters(tmp_path_factory.mktemp("committee"), [(tokenizer, {}), (tokenizer, {"layers": 2})])


@pytest.fixture
def labelled(tokenizer, documents, committee, tmp_path):
    """Texts with the labels that the committee gives them: it is right on all, so that any change is a loss."""
    path = tmp_path / "labels.csv"
    write_csv(path, list(zip(documents[:200], load(committee).predict(documents[:200]), strict=True)))
    return path


def test_export_equals_torch(committee, documents, tmp_path):
    made = export(committee, tmp_path / "artefact")
    assert (made.precision, made.drop) == ("float32", None) and made.difference < 1e-5
    assert sorted(path.name for path in (tmp_path / "artefact").iterdir()) == [
        "README.md",
        "artefact.json",
        "committee.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert made.size == sum(path.stat().st_size for path in (tmp_path / "artefact").iterdir())
    votes = load(tmp_path / "artefact").votes(documents[:60])
    np.testing.assert_allclose(votes, torch_votes(committee, documents[:60]), atol=1e-5)


def test_export_graph_runs_in_onnx_runtime_alone(committee, documents, tokenizer, tmp_path):
    export(committee, tmp_path / "artefact")
    session = onnxruntime.InferenceSession(tmp_path / "artefact" / "committee.onnx")
    row = np.array(sequences(tokenizer, documents[:1], 32))
    (found,) = session.run(["probabilities"], {"input_ids": row, "attention_mask": np.ones_like(row)})
    np.testing.assert_allclose(found[0], torch_votes(committee, documents[:1]).mean(0)[0], atol=1e-5)


def test_export_int8_is_smaller_and_its_accuracy_is_measured(committee, documents, labelled, tmp_path):
    exact = export(committee, tmp_path / "exact")
    made = export(committee, tmp_path / "artefact", precision="int8", task=labelled, max_accuracy_drop=100)
    assert made.precision == "int8" and made.size < 0.8 * exact.size
    assert made.drop is not None and (made.drop.texts, made.drop.float32) == (200, 1.0)
    assert made.drop.changed == round(200 * (1 - made.drop.quantized))
    found, expected = (load(tmp_path / name).predict_proba(documents[:200]) for name in ("artefact", "exact"))
    np.testing.assert_allclose(found, expected, atol=0.2)
    assert np.mean(found.argmax(1) != expected.argmax(1)) == pytest.approx(made.drop.changed / 200)
    card = (tmp_path / "artefact" / "README.md").read_text()
    assert "On 200 labelled texts" in card and "100.00% in float32" in card and "int8" in card
    assert all(f"`{label}`" in card for label in LABELS)


def test_export_keeps_float32_where_int8_costs_too_much(committee, labelled, tmp_path, heard):
    made = export(
        committee, tmp_path / "artefact", precision="int8", task=labelled, max_accuracy_drop=-1, progress=heard
    )
    assert made.precision == "float32" and made.drop is not None
    assert np.allclose(made.difference, export(committee, tmp_path / "exact").difference)
    *_, said = heard.lines
    assert said.startswith(
        f"int8 costs {made.drop.points:.2f} points of accuracy on 200 texts, more than -1, so float32"
    )
    assert json.loads((tmp_path / "artefact" / "artefact.json").read_text())["precision"] == "float32"


def test_export_measures_the_drop_on_what_each_member_held_out(documents, tokenizer, tmp_path):
    write_csv(tmp_path / "labels.csv", [(text, LABELS[i % 3]) for i, text in enumerate(documents[:200])])
    source = TaskSource(str(tmp_path / "labels.csv"))
    task = source.load(5)
    folder = tmp_path / "committee"
    record = {
        "task": "labels.csv",
        "task_source": vars(source),
        "task_fingerprint": task.fingerprint,
        "settings": {"seed": 5, "validation_fraction": 0.25},
    }
    claim(folder, record, resume=False)
    write_voters(folder, [(tokenizer, {}), (tokenizer, {"layers": 2})])
    made = export(folder, tmp_path / "artefact", precision="int8", max_accuracy_drop=100)
    validation = open_out_of_fold(folder, 2, LABELS, None, None)
    assert made.drop is not None and made.drop.texts == len(validation.examples)
    assert 0.25 * len(task.train) < made.drop.texts < 0.5 * len(task.train)
    predicted = validation.predictions(load(folder))
    assert made.drop.float32 == pytest.approx(np.mean(predicted == validation.examples.labels))
    # An artefact knows what it was trained on, so that it is not evaluated on that.
    ran = call("evaluate", tmp_path / "artefact", tmp_path / "labels.csv", "--json")
    assert json.loads(ran.out)["n"] == len(task.test)
    write_csv(tmp_path / "labels.csv", rows(60, 1))
    with pytest.raises(InputError, match=r"labels\.csv has changed since .* validation part is unknown"):
        export(folder, tmp_path / "artefact", precision="int8")
    assert load(tmp_path / "artefact").labels == LABELS, "the artefact that was there is there"


@pytest.fixture
def trained(documents, tokenizer, tmp_path):
    """A labelled file, and a committee whose record names it as its training data, as absolute paths."""
    write_csv(tmp_path / "labels.csv", [(text, LABELS[i % 3]) for i, text in enumerate(documents[:200])])
    source = TaskSource(str(tmp_path / "labels.csv"))
    task = source.load(5)
    record = {
        "base": str(tmp_path / "base"),
        "task": source.source,
        "task_source": vars(source),
        "task_fingerprint": task.fingerprint,
        "teacher": str(tmp_path / "teacher"),
        "settings": {"seed": 5, "validation_fraction": 0.25},
    }
    claim(tmp_path / "committee", record, resume=False)
    write_voters(tmp_path / "committee", [(tokenizer, {}), (tokenizer, {"layers": 2})])
    return tmp_path / "committee", task


def test_export_of_the_training_s_own_labels_is_measured_on_what_was_held_out(trained, documents, tmp_path):
    folder, _ = trained
    write_csv(tmp_path / "other.csv", [(text, LABELS[i % 3]) for i, text in enumerate(documents[200:230])])
    (tmp_path / "moved").mkdir()
    shutil.copy(tmp_path / "labels.csv", tmp_path / "moved" / "labels.csv")
    drops = {}
    for name in (None, "labels.csv", "moved/labels.csv", "other.csv"):
        task = name and TaskSource(str(tmp_path / name))
        made = export(folder, tmp_path / "artefact", precision="int8", max_accuracy_drop=100, task=task)
        assert made.drop is not None and f"texts {made.drop.origin}: " in made.lines()[-1]
        assert f"texts {made.drop.origin}: accuracy" in (tmp_path / "artefact" / "README.md").read_text()
        drops[name] = made.drop
    assert drops[None] == drops["labels.csv"] == drops["moved/labels.csv"]
    assert drops[None].origin == "held out of training"
    assert drops["other.csv"].origin == "of the given task" and drops["other.csv"].texts == 30


def test_export_holds_no_path_of_the_machine(trained, tmp_path):
    folder, _ = trained
    export(folder, tmp_path / "artefact", precision="int8", max_accuracy_drop=100)
    files = [path for path in (tmp_path / "artefact").iterdir() if path.suffix in (".json", ".md")]
    assert len(files) == 5
    for path in files:
        assert str(tmp_path) not in path.read_text(encoding="utf-8"), path.name


def test_export_recognises_the_labelled_text_of_its_training_at_another_path(trained, tmp_path):
    folder, task = trained
    export(folder, tmp_path / "artefact")
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "labels.csv").rename(tmp_path / "elsewhere" / "renamed.csv")
    measured = json.loads(call("evaluate", tmp_path / "artefact", moved, "--json").out)
    assert measured["n"] == len(task.test), "the test part of the training, not the texts it was trained on"
    write_csv(moved, [(f"text {i}", LABELS[i % 3]) for i in range(60)])
    assert json.loads(call("evaluate", tmp_path / "artefact", moved, "--json").out)["n"] == 60, "another file whole"


def test_export_written_with_paths_still_evaluates(trained, tmp_path):
    folder, task = trained
    export(folder, tmp_path / "artefact")
    (tmp_path / "artefact" / "run.json").write_text((folder / "run.json").read_text())
    measured = json.loads(call("evaluate", tmp_path / "artefact", tmp_path / "labels.csv", "--json").out)
    assert measured["n"] == len(task.test)


def test_card_describes_the_front_end_of_each_member(tokenizer, tmp_path):
    shapes = [{}, {"front_end": DepthwiseFrontEnd(kernel=3)}]
    export(write_voters(tmp_path / "committee", [(tokenizer, shape) for shape in shapes]), tmp_path / "artefact")
    plain, convolved = re.findall(r"width 16 with 2 heads(.*);", (tmp_path / "artefact" / "README.md").read_text())
    assert (plain, convolved) == ("", ", behind a depthwise convolution over 3 tokens")


def test_card_metadata_has_the_accuracy(trained, tmp_path):
    folder, _ = trained
    made = export(folder, tmp_path / "artefact", precision="int8", max_accuracy_drop=100)
    data = ModelCard.load(tmp_path / "artefact" / "README.md").data
    assert (data.library_name, data.pipeline_tag) == ("tinylm", "text-classification")
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", made.drop.quantized)
    assert "labels.csv" in result.dataset_name and data.model_name == "artefact"


def test_export_int8_needs_labelled_text(committee, tmp_path):
    with pytest.raises(InputError, match="does not say which file it was trained on; name labelled text with --task"):
        export(committee, tmp_path / "artefact", precision="int8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("difference", [2e-5, float("nan")])
def test_export_leaves_nothing_where_the_graph_differs(committee, tmp_path, monkeypatch, difference):
    monkeypatch.setattr(parity, "largest_difference", lambda *_: difference)
    with pytest.raises(TinyLMError, match=r"the exported graph differs from .* nothing was written"):
        export(committee, tmp_path / "artefact")
    assert list(tmp_path.iterdir()) == []


def test_parity_finds_a_weight_that_differs(committee, tmp_path, monkeypatch):
    folded = exporter.open_checkpoint(committee)
    folded.members[1].classifier.bias[0] += 1e-3
    monkeypatch.setattr(exporter, "open_checkpoint", lambda _: folded)
    with pytest.raises(TinyLMError, match="differs from"):
        export(committee, tmp_path / "artefact")


def test_export_checks_what_was_written(committee, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "load", lambda _: load(committee / "member-0"))
    with pytest.raises(TinyLMError, match="does not answer as the model does; nothing was kept"):
        export(committee, tmp_path / "artefact")
    assert list(tmp_path.iterdir()) == []


def test_export_replaces_an_export_and_nothing_else(committee, tmp_path):
    export(committee, tmp_path / "artefact")
    export(committee, tmp_path / "artefact")
    with pytest.raises(InputError, match=r"holds something else .*; choose a new folder for the model"):
        export(committee, committee)
    with pytest.raises(InputError, match="is exported already; give the folder that `tinylm train` wrote"):
        export(tmp_path / "artefact", tmp_path / "again")


def test_export_refuses_a_graph_that_no_file_can_hold(committee, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "_LARGEST", 1000)
    with pytest.raises(
        InputError, match=r"2 members make a graph of .* GB, and one file of ONNX holds 2\.1; export fewer"
    ):
        export(committee, tmp_path / "artefact")


def test_export_command_prints_what_it_wrote(committee, labelled, tmp_path):
    ran = call(
        "export", committee, "-o", tmp_path / "small", "--int8", "--task", labelled, "--max-accuracy-drop", "100"
    )
    assert ran.code == 0, ran.err
    first, second, third, *_ = ran.out.splitlines()
    assert first.startswith(f"{tmp_path / 'small'}: int8, ") and first.endswith(" MB")
    assert second.startswith("float32 is within ") and "accuracy on 200 texts" in third
    assert call("predict", tmp_path / "small", "a text").code == 0
