"""An export equals what was trained, says what 8 bits cost, and leaves nothing behind where it fails."""

import json

import numpy as np
import onnxruntime
import pytest
from cli_fixtures import call, rows, write_csv
from voters import LABELS, torch_votes, write_voters

from tinylm.core.errors import InputError, TinyLMError
from tinylm.core.progress import Silent
from tinylm.core.runs import claim
from tinylm.evaluation.committees import open_validation
from tinylm.exporting import exporter
from tinylm.exporting.exporter import export
from tinylm.runtime.loading import load
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


class Listener(Silent):
    """Keeps what was said."""

    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


def test_an_export_says_what_torch_says(committee, documents, tmp_path):
    made = export(committee, tmp_path / "artefact")
    assert (made.precision, made.loss) == ("float32", None) and made.difference < 1e-5
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


def test_the_graph_answers_by_itself(committee, documents, tokenizer, tmp_path):
    export(committee, tmp_path / "artefact")
    session = onnxruntime.InferenceSession(tmp_path / "artefact" / "committee.onnx")
    row = np.array(tokenizer.rows(documents[:1], 32))
    (found,) = session.run(["probabilities"], {"input_ids": row, "attention_mask": np.ones_like(row)})
    np.testing.assert_allclose(found[0], torch_votes(committee, documents[:1]).mean(0)[0], atol=1e-5)


def test_eight_bits_are_smaller_and_measured(committee, documents, labelled, tmp_path):
    exact = export(committee, tmp_path / "exact")
    made = export(committee, tmp_path / "artefact", precision="int8", task=labelled, max_accuracy_drop=100)
    assert made.precision == "int8" and made.size < 0.8 * exact.size
    assert made.loss is not None and (made.loss.texts, made.loss.exact) == (200, 1.0)
    assert made.loss.changed == round(200 * (1 - made.loss.rounded))
    found, expected = (load(tmp_path / name).predict_proba(documents[:200]) for name in ("artefact", "exact"))
    np.testing.assert_allclose(found, expected, atol=0.2)
    assert np.mean(found.argmax(1) != expected.argmax(1)) == pytest.approx(made.loss.changed / 200)
    card = (tmp_path / "artefact" / "README.md").read_text()
    assert "On 200 labelled texts" in card and "100.00% in float32" in card and "int8" in card
    assert all(f"`{label}`" in card for label in LABELS)


def test_eight_bits_that_cost_too_much_are_not_kept(committee, labelled, tmp_path):
    listener = Listener()
    made = export(
        committee, tmp_path / "artefact", precision="int8", task=labelled, max_accuracy_drop=-1, progress=listener
    )
    assert made.precision == "float32" and made.loss is not None
    assert np.allclose(made.difference, export(committee, tmp_path / "exact").difference)
    *_, said = listener.said
    assert said.startswith(
        f"int8 costs {made.loss.points:.2f} points of accuracy on 200 texts, more than -1, so float32"
    )
    assert json.loads((tmp_path / "artefact" / "artefact.json").read_text())["precision"] == "float32"


def test_the_loss_is_measured_on_what_each_member_held_out_of_the_training(documents, tokenizer, tmp_path):
    write_csv(tmp_path / "labels.csv", [(text, LABELS[i % 3]) for i, text in enumerate(documents[:200])])
    source = TaskSource(str(tmp_path / "labels.csv"))
    task = source.load(None, 5)
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
    validation = open_validation(folder, 2, LABELS, None, None)
    assert made.loss is not None and made.loss.texts == len(validation.examples)
    assert 0.25 * len(task.train) < made.loss.texts < 0.5 * len(task.train)
    predicted = validation.predictions(load(folder))
    assert made.loss.exact == pytest.approx(np.mean(predicted == validation.examples.labels))
    # An artefact knows what it was trained on, so that it is not evaluated on that.
    ran = call("evaluate", tmp_path / "artefact", tmp_path / "labels.csv", "--json")
    assert json.loads(ran.out)["n"] == len(task.test)
    write_csv(tmp_path / "labels.csv", rows(60, 1))
    with pytest.raises(InputError, match=r"labels\.csv has changed since .* validation part cannot be told"):
        export(folder, tmp_path / "artefact", precision="int8")
    assert load(tmp_path / "artefact").labels == LABELS, "the artefact that was there is there"


def test_eight_bits_need_labelled_text(committee, tmp_path):
    with pytest.raises(InputError, match="does not say which file it was trained on; name labelled text with --task"):
        export(committee, tmp_path / "artefact", precision="int8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("difference", [2e-5, float("nan")])
def test_a_graph_that_differs_is_not_left_behind(committee, tmp_path, monkeypatch, difference):
    monkeypatch.setattr(exporter, "_largest_difference", lambda *_: difference)
    with pytest.raises(TinyLMError, match=r"the exported graph differs from .* nothing was written"):
        export(committee, tmp_path / "artefact")
    assert list(tmp_path.iterdir()) == []


def test_parity_sees_a_weight_that_is_off(committee, tmp_path, monkeypatch):
    folded = exporter.open_checkpoint(committee)
    folded.members[1].classifier.bias[0] += 1e-3
    monkeypatch.setattr(exporter, "open_checkpoint", lambda _: folded)
    with pytest.raises(TinyLMError, match="differs from"):
        export(committee, tmp_path / "artefact")


def test_what_was_written_must_answer(committee, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "load", lambda _: load(committee / "member-0"))
    with pytest.raises(TinyLMError, match="does not answer as the model does; nothing was kept"):
        export(committee, tmp_path / "artefact")
    assert list(tmp_path.iterdir()) == []


def test_an_export_replaces_an_export_and_nothing_else(committee, tmp_path):
    export(committee, tmp_path / "artefact")
    export(committee, tmp_path / "artefact")
    with pytest.raises(InputError, match="holds something else .*; choose a new folder for the model"):
        export(committee, committee)
    with pytest.raises(InputError, match="is exported already; give the folder that `tinylm train` wrote"):
        export(tmp_path / "artefact", tmp_path / "again")


def test_a_graph_that_no_file_can_hold_is_refused(committee, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "_LARGEST", 1000)
    with pytest.raises(
        InputError, match=r"2 members make a graph of .* GB, and one file of ONNX holds 2\.1; export fewer"
    ):
        export(committee, tmp_path / "artefact")


def test_the_command_says_what_it_made(committee, labelled, tmp_path):
    ran = call(
        "export", committee, "-o", tmp_path / "small", "--int8", "--task", labelled, "--max-accuracy-drop", "100"
    )
    assert ran.code == 0, ran.err
    first, second, third, *_ = ran.out.splitlines()
    assert first.startswith(f"{tmp_path / 'small'}: int8, ") and first.endswith(" MB")
    assert second.startswith("float32 is within ") and "accuracy on 200 texts" in third
    assert call("predict", tmp_path / "small", "a text").code == 0
