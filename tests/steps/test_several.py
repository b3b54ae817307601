"""Several labels a text from labels to answers: trained, chosen, voted on, measured, exported, distilled, resumed."""

import json

import numpy as np
import pytest
import torch
from cli_fixtures import call
from several_fixtures import tickets, write_tickets
from sklearn.metrics import f1_score

import tinylm
from tinylm.committee.files import read_committee
from tinylm.core.errors import InputError
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS
from tinylm.core.seeds import member_seed
from tinylm.evaluation.committees import measure_committee
from tinylm.evaluation.out_of_fold import open_out_of_fold
from tinylm.model.checkpoint import load_classifier
from tinylm.model.config import ModelConfig
from tinylm.text.sources import TaskSource, load_task
from tinylm.text.splits import Examples, Task, held_out_rows, with_several_labels
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.loading import load_tokenizer
from tinylm.train.classification import class_logits
from tinylm.train.finetune import default_updates, shape_of, start_member
from tinylm.train.objectives.classification import LabelsPrediction
from tinylm.train.weights import with_sample_weight

SHORT = {"precision": "float32"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tickets")
    write_tickets(folder)
    tinylm.pretrain(folder / "notes.txt", output=folder / "base", members=2, preset="bert-1-w128", steps=3, **SHORT)
    tinylm.finetune(folder / "base", folder / "labels.txt", output=folder / "model", steps=60, **SHORT)
    return folder


def test_the_search_chooses_ngrams_and_thresholds_and_the_vote_finds_the_labels(desk):
    task = load_task(desk / "labels.txt")
    model = tinylm.load(desk / "model")
    assert model.labels == ("account", "network", "printer") and model.voting.several
    assert len(model.voting.thresholds) == 3 and model.voting.ngram_weight > 0
    stored = json.loads((desk / "model" / "search.json").read_text())
    assert stored["thresholds"] == list(model.voting.thresholds)
    measured = measure_committee(model, task.test)
    assert measured.committee.micro_f1 > 0.8
    found = model.predict(task.test.texts)
    given = np.array([[label in labels for label in model.labels] for labels in found])
    assert measured.committee.micro_f1 == pytest.approx(f1_score(task.test.labels, given, average="micro"))
    assert measured.committee.macro_f1 == pytest.approx(f1_score(task.test.labels, given, average="macro"))
    samples = f1_score(task.test.labels, given, average="samples", zero_division=1.0)
    assert measured.committee.samples_f1 == pytest.approx(samples)
    assert measured.committee.micro_interval[0] <= measured.committee.micro_f1 <= measured.committee.micro_interval[1]
    assert any("labels found worst" in line for line in measured.lines())


def test_without_a_search_thresholds_come_from_what_members_held_out(desk, tmp_path):
    source = TaskSource(str(desk / "labels.csv"), label_separator="|")
    model = tinylm.finetune(desk / "base", source, output=tmp_path / "model", steps=5, search=False, **SHORT)
    held = open_out_of_fold(tmp_path / "model", 2, model.labels, None, None, model.voting.problem_type)
    assert held.examples.labels.shape[1] == 3 and len(model.voting.thresholds) == 3
    again = tinylm.finetune(
        desk / "base", source, output=tmp_path / "model", steps=5, search=False, resume=True, **SHORT
    )
    assert again.voting == model.voting
    config = json.loads((tmp_path / "model" / "member-0" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"


def test_labels_begin_at_their_frequency():
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    task = Task("t", ("a", "b"), Examples(("x",) * 4, labels), Examples((), labels[:0]), "")
    shape = ModelConfig(vocab_size=50, hidden_size=16, heads=2, intermediate_size=32, positions=32)
    with torch.inference_mode():
        bias = start_member(shape, shape, task, 0, np.empty(0, np.int64)).classifier.bias.sigmoid()
    np.testing.assert_allclose(bias, [3.5 / 5, 1.5 / 5], rtol=1e-6)


def test_the_command_line_answers_evaluates_and_exports(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(desk)
    line = call("predict", "model", "paper toner jam tray wifi router cable vpn")
    labels, probabilities, text = line.out.rstrip("\n").split("\t")
    assert set(labels.split("|")) == {"network", "printer"} and len(probabilities.split("|")) == 2
    assert text.startswith("paper toner")
    nothing = call("predict", "model", "nothing is wrong here today").out
    assert nothing.startswith("\t\tnothing")
    answer = json.loads(call("predict", "model", "paper toner jam tray", "--json").out)
    assert answer["labels"] == ["printer"] and set(answer["probabilities"]) == {"account", "network", "printer"}
    assert "label" not in answer
    measured = json.loads(call("evaluate", "model", "more.csv", "--label-separator", "|", "--json").out)
    assert measured["n"] == 18 and measured["micro_f1"] > 0.7
    assert [score["label"] for score in measured["labels"]] == ["account", "network", "printer"]
    exported = call("export", "model", "--int8", "-o", tmp_path / "small")
    assert exported.code == 0 and "micro F1 on" in exported.out and "other labels" in exported.out
    small = json.loads((tmp_path / "small" / "artefact.json").read_text())
    assert small["thresholds"] == list(read_committee(desk / "model").voting.thresholds)
    again = json.loads(call("evaluate", tmp_path / "small", "more.csv", "--label-separator", "|", "--json").out)
    assert again["micro_f1"] > 0.7


def test_a_committee_is_distilled_with_its_thresholds(desk, tmp_path):
    student = tinylm.distill(desk / "model", desk / "notes.txt", output=tmp_path / "student", steps=30, **SHORT)
    teacher = tinylm.load(desk / "model")
    assert student.voting.several and student.voting.thresholds == teacher.voting.thresholds
    assert student.voting == teacher.voting and student.voting.ngram_weight > 0
    texts = (desk / "notes.txt").read_text().splitlines()[:50]
    untaught = tinylm.load(desk / "model" / "member-0")
    asked, taught, before = (model.predict_proba(texts) for model in (teacher, student, untaught))
    assert np.abs(taught - asked).mean() < np.abs(before - asked).mean()


def test_what_is_for_one_label_is_refused(desk):
    with pytest.raises(InputError, match="draw texts of one"):
        load_task(desk / "labels.txt", train_per_label=5)


def test_training_ends_sooner_than_for_one_label_a_text():
    of_one, of_several = (
        [default_updates(texts, 32, problem_type) for texts in (90, 1264, 20_000)]
        for problem_type in (ONE_LABEL, SEVERAL_LABELS)
    )
    assert of_one == [141, 1000, 1875] and of_several == [141, 395, 1875]


def test_lists_in_memory_are_trained_on(desk, tmp_path):
    rows = tickets(60, 1)
    model = tinylm.finetune(
        desk / "base",
        texts=[text for text, _ in rows],
        labels=[labels for _, labels in rows],
        output=tmp_path / "model",
        search=False,
        steps=3,
        **SHORT,
    )
    assert model.voting.several and isinstance(model.predict("no signal"), list)


def test_sample_weights_count_and_class_weights_are_refused(desk, tmp_path):
    task = load_task(desk / "labels.txt")
    weighed = with_sample_weight(task, np.arange(len(task.train)) % 2)
    model = tinylm.finetune(desk / "base", weighed, output=tmp_path / "model", steps=3, search=False, **SHORT)
    assert len(model.voting.thresholds) == 3
    with pytest.raises(InputError, match="class_weight is for one"):
        tinylm.finetune(desk / "base", task, output=tmp_path / "other", class_weight="balanced", **SHORT)
    logits, labels = torch.tensor([[2.0, -1.0], [0.5, 0.5]]), torch.tensor([[1, 0], [0, 1]])
    term = LabelsPrediction("classification").term
    alone = term(logits[:1], labels[:1])
    torch.testing.assert_close(term(logits, labels, torch.tensor([3.0, 0.0])), 3 * alone)


def test_a_model_goes_on_with_labels_that_it_does_not_have(desk, tmp_path):
    lines = (desk / "labels.txt").read_text().replace("__label__account", "__label__account __label__urgent")
    (tmp_path / "more.txt").write_text(lines)
    old = tinylm.load(desk / "model")
    task = load_task(tmp_path / "more.txt")
    more = tinylm.finetune(task=task, start_from=desk / "model", output=tmp_path / "more", steps=60, **SHORT)
    assert more.labels == ("account", "network", "printer", "urgent") and more.voting.several
    kept = [more.voting.thresholds[more.labels.index(label)] for label in old.labels]
    assert tuple(kept) == old.voting.thresholds
    assert (more.voting.temperature, more.voting.ngram_weight) == (old.voting.temperature, old.voting.ngram_weight)
    assert set(more.predict("password login locked reset")) == {"account", "urgent"}
    # Before the first update, labels that stay have their old logits, and the new one its frequency.
    start = desk / "model" / "member-0"
    member = start_member(start, shape_of(start), task, 0, np.empty(0, np.int64)).eval()
    before, after = (
        class_logits(model, EncodedTexts(["no signal"], load_tokenizer(start), shape_of(start).positions))
        for model in (load_classifier(start)[0].eval(), member)
    )
    torch.testing.assert_close(after[:, :3], before, atol=1e-6, rtol=0)
    share = (task.train.labels[:, 3].sum() + 0.5) / (len(task.train) + 1)
    assert member.classifier.bias[3].sigmoid().item() == pytest.approx(share, rel=1e-5)


def test_one_label_a_text_is_gone_on_with_as_one_of_several(desk, tmp_path):
    rows = [(text, labels[0]) for text, labels in tickets(60, 4) if len(labels) == 1]
    (tmp_path / "one.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    more = ("--task", tmp_path / "one.csv", "--steps", "5", "--precision", "float32")
    ran = call("finetune", "--start-from", desk / "model", *more, "-o", tmp_path / "more")
    assert ran.code == 0 and "micro F1" in ran.out
    model = tinylm.load(tmp_path / "more")
    assert model.voting.several and len(model.labels) == 3
    held = open_out_of_fold(tmp_path / "more", 2, model.labels, None, None, SEVERAL_LABELS)
    task = with_several_labels(load_task(tmp_path / "one.csv"))
    expected = [held_out_rows(task.train, 0.1, member_seed(0, index)) for index in range(2)]
    assert held.examples.texts == task.train.take(np.flatnonzero(np.any(expected, axis=0))).texts


def test_several_labels_are_not_gone_on_with_by_a_model_of_one(desk, tmp_path):
    (tmp_path / "one.csv").write_text(
        "text,label\n" + "".join(f"{x[0]} {n},{x[0]}\n" for n, (_, x) in enumerate(tickets(60, 4)) if x)
    )
    tinylm.finetune(desk / "base", tmp_path / "one.csv", output=tmp_path / "one", steps=2, search=False, **SHORT)
    ran = call("finetune", "--start-from", tmp_path / "one", "--task", desk / "labels.txt", "-o", tmp_path / "third")
    assert ran.error.endswith(
        f"labels.txt has several labels a text, and {tmp_path / 'one'} gives a text one; fine-tune its base instead"
    )
    assert not (tmp_path / "third").exists()


def test_a_table_of_predictions_has_all_labels_in_one_column(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(desk)
    assert call("predict", "model", "--file", "new.csv", "-o", tmp_path / "labelled.csv").code == 0
    lines = (tmp_path / "labelled.csv").read_text().splitlines()
    assert lines[0] == "text,id,label,probability,disagreement" and len(lines) == 10
    assert any("|" in line.split(",")[2] for line in lines[1:])
