"""The Python interface, and the steps that it shares with the command line."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_fixtures import call, contents, environment, rows, write_csv, write_help_desk

import tinylm
from tinylm.committee.voting import Voting, vote
from tinylm.core.errors import InputError, InterruptedByUserError
from tinylm.core.progress import Silent
from tinylm.evaluation.examples import examples_to_evaluate
from tinylm.evaluation.out_of_fold import open_out_of_fold
from tinylm.model.config import preset
from tinylm.runtime.classifier import Classifier
from tinylm.steps import soft_targets
from tinylm.steps.base import open_base
from tinylm.steps.pretrain import Pretrain
from tinylm.steps.train import Train
from tinylm.text.corpus import CorpusSource
from tinylm.text.sources import TaskSource, load_task
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.loading import load_tokenizer
from tinylm.train.distributed import DistributedContext
from tinylm.train.finetune import finetune_member
from tinylm.train.settings import FinetuneSettings, PretrainSettings

SHORT = {"steps": 2, "precision": "float32"}
TINY = {"preset": "bert-1-w128", **SHORT}
TEXTS = ["printer jam", "the wifi is slow"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    write_help_desk(folder)
    tinylm.pretrain(folder / "notes.txt", output=folder / "base", members=2, **TINY)
    return folder


def test_importing_tinylm_imports_no_torch():
    code = "import sys, tinylm; assert not {'torch', 'tokenizers', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment())
    assert (done.returncode, done.stderr) == (0, "")


def test_all_public_names_can_be_had_and_others_cannot():
    assert all(getattr(tinylm, name) is not None for name in tinylm.__all__)
    assert set(tinylm.__all__) <= set(dir(tinylm))
    with pytest.raises(AttributeError, match="nonsense"):
        tinylm.nonsense  # noqa: B018


def test_without_torch_a_name_says_what_to_install():
    code = "import sys; sys.modules['torch'] = None; import tinylm; tinylm.finetune('base', 'labels.csv')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment())
    told = "tinylm.finetune needs the `train` extra; install it with: pip install 'tinylm[train]'"
    assert done.stderr.strip().endswith(told)


def test_each_public_name_stays_what_it_was_once_everything_is_imported():
    code = (
        "import tinylm; kinds = lambda: {n: type(getattr(tinylm, n)).__name__ for n in tinylm.__all__};"
        "first = kinds(); assert 'module' not in {*first.values(), *kinds().values()}, kinds()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr


def test_without_an_output_the_cache_keeps_what_was_done_and_finds_it_again(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYLM_CACHE", str(tmp_path))
    documents = (desk / "notes.txt").read_text().splitlines()
    base = tinylm.pretrain(documents, **TINY, members=1)
    assert base.folder.is_relative_to(tmp_path)
    committee = tinylm.finetune(base, desk / "labels.csv", **SHORT)
    before = contents(tmp_path)
    assert tinylm.pretrain(documents, **TINY, members=1) == base
    again = tinylm.finetune(base, desk / "labels.csv", **SHORT)
    assert contents(tmp_path) == before, "nothing is trained again"
    assert (again.predict_proba(TEXTS) == committee.predict_proba(TEXTS)).all()
    assert tinylm.pretrain(documents, **TINY, members=1, seed=1).folder != base.folder
    more = tinylm.pretrain(documents, **TINY, members=2)
    assert more.folder == base.folder and len(more.members) == 2


def test_labels_in_memory_are_the_labels_of_a_file(desk, tmp_path, heard):
    texts, labels = map(list, zip(*rows(60, 1), strict=True))
    train = tmp_path / "train.csv"
    write_csv(train, list(zip(texts, labels, strict=True)))
    write_csv(tmp_path / "test.csv", rows(9, 5))
    file = TaskSource(str(train), test=str(tmp_path / "test.csv"))
    expected = tinylm.finetune(desk / "base", file, **SHORT, search=False, progress=None)
    found = tinylm.finetune(
        desk / "base", texts=texts, labels=labels, output=tmp_path / "out", **SHORT, search=False, progress=heard
    )
    assert heard.stages
    np.testing.assert_array_equal(found.predict_proba(TEXTS), expected.predict_proba(TEXTS))
    before = contents(tmp_path / "out")
    frame = {"note": np.array(texts), "kind": np.array(labels)}
    columns = {"text_column": "note", "label_column": "kind"}
    tinylm.finetune(desk / "base", frame, **columns, output=tmp_path / "out", **SHORT, search=False, resume=True)
    assert contents(tmp_path / "out") == before, "nothing is trained again"
    with pytest.raises(InputError, match="out was started otherwise: the task has changed since"):
        tinylm.finetune(
            desk / "base", texts=texts, labels=labels[::-1], output=tmp_path / "out", **SHORT, search=False, resume=True
        )


def test_every_command_takes_a_model_that_learnt_from_labels_in_memory(desk, tmp_path):
    model, labels = tmp_path / "model", desk / "labels.csv"
    texts, names = zip(*rows(30, 1), strict=True)
    tinylm.finetune(desk / "base", texts=texts, labels=names, output=model, search=False, **SHORT)
    short = ("--steps", "2", "--precision", "float32")
    for arguments in (
        ("predict", model, "printer jam"),
        ("predict", model, "--file", labels, "-o", tmp_path / "labelled.csv"),
        ("evaluate", model, labels),
        ("export", model, "-o", tmp_path / "small"),
        ("embed", model, "--file", labels, "-o", tmp_path / "vectors.npy"),
        ("distill", model, "--corpus", desk / "notes.txt", *short, "-o", tmp_path / "one"),
        ("finetune", "--start-from", model, "--task", labels, "--no-search", *short, "-o", tmp_path / "more"),
    ):
        ran = call(*arguments)
        assert ran.code == 0, (arguments[0], ran.err)


def test_columns_of_a_file_can_be_named(desk, tmp_path):
    write_csv(tmp_path / "labels.csv", [(*row, "x") for row in rows(60, 1)], ("note", "kind", "other"))
    with pytest.raises(InputError, match=r"no column 'body'"):
        tinylm.finetune(desk / "base", tmp_path / "labels.csv", text_column="body", label_column="kind")
    with pytest.raises(InputError, match="a task that was read already has no columns; leave text_column"):
        tinylm.finetune(desk / "base", load_task(desk / "labels.csv"), text_column="text")


def test_a_saved_committee_is_loaded_as_it_was(desk, tmp_path):
    committee = tinylm.finetune(desk / "base", desk / "labels.csv", output=tmp_path / "out", **SHORT)
    committee.save(tmp_path / "copy")
    for folder in ("out", "copy"):
        loaded = tinylm.load(tmp_path / folder)
        assert loaded.labels == ("account", "network", "printer")
        assert (loaded.predict_proba(TEXTS) == committee.predict_proba(TEXTS)).all()


def test_train_is_pretrain_and_finetune(desk, tmp_path):
    step = Train(
        pretrain=Pretrain(
            corpus=CorpusSource(desk / "notes.txt"), preset="bert-1-w128", settings=PretrainSettings(**SHORT)
        ),
        task=TaskSource(str(desk / "labels.csv")),
        finetune=FinetuneSettings(**SHORT),
    )
    committee = step.run(tmp_path / "out")
    apart = tinylm.finetune(desk / "base", desk / "labels.csv", output=tmp_path / "apart", **SHORT)
    assert (committee.predict_proba(TEXTS) == apart.predict_proba(TEXTS)).all()


def test_members_differ_and_each_is_the_same_whatever_their_number(desk, tmp_path):
    tinylm.pretrain(desk / "notes.txt", output=tmp_path / "base", members=1, **TINY)
    weights = [folder / "model.safetensors" for folder in open_base(desk / "base").members]
    assert weights[0].read_bytes() != weights[1].read_bytes()
    assert (tmp_path / "base/member-0/model.safetensors").read_bytes() == weights[0].read_bytes()


def test_the_test_part_is_not_looked_at_by_training(desk, tmp_path):
    write_csv(tmp_path / "test.csv", rows(9, 5))
    committees = [
        tinylm.finetune(
            desk / "base",
            TaskSource(str(desk / "labels.csv"), test=str(test)),
            output=tmp_path / test.stem,
            members=1,
            **SHORT,
        )
        for test in (tmp_path / "test.csv", desk / "more.csv")
    ]
    ours, theirs = (committee.predict_proba(TEXTS) for committee in committees)
    assert (ours == theirs).all()


def test_more_members_than_ten_come_in_the_order_of_their_numbers(tmp_path):
    for index in (10, 9, 2, 0):
        (tmp_path / f"member-{index}").mkdir()
        (tmp_path / f"member-{index}" / "config.json").write_text("{}")
    assert [folder.name for folder in open_base(tmp_path).members] == ["member-0", "member-2", "member-9", "member-10"]


def test_a_base_that_has_not_finished_a_member_says_so(tmp_path):
    (tmp_path / "run.json").write_text('{"corpus": "notes.txt"}')
    with pytest.raises(InputError, match="has no finished member yet"):
        open_base(tmp_path)


def test_a_text_of_100_000_words_is_trained_on(desk, tmp_path):
    long = "printer " * 100_000
    documents = [*(desk / "notes.txt").read_text().splitlines(), long]
    base = tinylm.pretrain(documents, output=tmp_path / "base", **TINY)
    write_csv(tmp_path / "labels.csv", [*rows(30, 1), (long, "printer")])
    committee = tinylm.finetune(base, tmp_path / "labels.csv", output=tmp_path / "out", **SHORT)
    assert len(committee.predict([long])) == 1


def test_a_corpus_of_a_few_words_trains(tmp_path):
    base = tinylm.pretrain(["jam", "no wifi"], output=tmp_path / "base", **TINY)
    assert open_base(base.folder).members == base.members


def test_a_vocabulary_larger_than_the_text_can_give_is_said(desk, tmp_path, heard):
    tinylm.pretrain(desk / "notes.txt", output=tmp_path / "base", progress=heard, **TINY)
    assert any("30,000 pieces requested" in line and "reached" in line for line in heard.lines)


@pytest.mark.parametrize("how", [{**SHORT, "search": False}, {"head": "frozen"}])
def test_labels_in_another_language_than_the_base_are_warned_of(desk, tmp_path, heard, how):
    texts = [f"프린터 {row} 용지 걸림 {word}" for row in range(8) for word in ("printer", "login")]
    write_csv(tmp_path / "labels.csv", [(text, text.split()[-1]) for text in texts])
    tinylm.finetune(desk / "base", tmp_path / "labels.csv", members=1, progress=heard, **how)
    (warning,) = [line for line in heard.lines if line.startswith("warning: ")]
    assert re.fullmatch(
        r"warning: \d\d\.\d% of the tokens of .*labels\.csv are \[UNK\] to the vocabulary of .*member-0; "
        r"was the base pre-trained on another language\?",
        warning,
    )


def test_the_global_generator_is_not_read(desk, tmp_path):
    torch.manual_seed(torch.initial_seed() + 1)
    tinylm.pretrain(desk / "notes.txt", output=tmp_path / "base", **TINY)
    weights = [folder / "member-0" / "model.safetensors" for folder in (tmp_path / "base", desk / "base")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


# Distillation


@pytest.fixture(scope="module")
def teacher(desk) -> Path:
    """A committee of two."""
    source = TaskSource(str(desk / "labels.csv"))
    tinylm.finetune(
        desk / "base", source, output=desk / "teacher", vote="logit", validation_fraction=0.2, seed=3, **SHORT
    )
    return desk / "teacher"


@pytest.fixture(scope="module")
def student(desk, teacher) -> Path:
    tinylm.distill(teacher, desk / "notes.txt", output=desk / "student", **SHORT)
    return desk / "student"


def test_a_committee_is_distilled_into_one_of_one_that_answers(student, teacher):
    one, many = tinylm.load(student), tinylm.load(teacher)
    assert (len(one), len(many)) == (1, 2)
    assert (one.labels, one.voting.vote) == (many.labels, "logit")
    answers = one.predict_proba(TEXTS)
    assert answers.min() > 0 and answers.sum(1) == pytest.approx(1, abs=1e-6)


def test_what_the_committee_was_trained_on_says_what_its_student_is_measured_on(student, teacher, desk, tmp_path):
    source, labels = TaskSource(str(desk / "labels.csv")), tinylm.load(teacher).labels
    asked = [examples_to_evaluate(folder, labels, source, None) for folder in (student, teacher)]
    assert asked[0].texts == asked[1].texts and len(asked[0]) == 12
    held = open_out_of_fold(teacher, 2, labels, None, None)
    by_first = {text for text, judge in zip(held.examples.texts, held.out_of_fold[0], strict=True) if judge}
    made = tinylm.export(student, tmp_path / "small", precision="int8", max_accuracy_drop=100)
    assert made.drop.texts == len(by_first) == 9
    assert set(open_out_of_fold(student, 1, labels, None, None).examples.texts) == by_first
    assert (
        "The committee it was distilled from may have trained on them."
        in (tmp_path / "small" / "README.md").read_text()
    )


def test_members_are_judges_of_what_they_did_not_train_on(desk, teacher, monkeypatch):
    learnt = []

    def learn(name, model, tokenizer, train, *_, **__):
        learnt.append({task.train.texts[index] for index in train.indices})
        raise InterruptedByUserError

    monkeypatch.setattr("tinylm.train.finetune.Classification", learn)
    task = load_task(desk / "labels.csv", seed=3)
    settings = FinetuneSettings(validation_fraction=0.2, seed=3, **SHORT)
    shape, tokenizer, alone = (
        preset("bert-1-w128"),
        load_tokenizer(desk / "base" / "member-0"),
        DistributedContext(0, 1, "cpu"),
    )
    for index in range(2):
        with pytest.raises(InterruptedByUserError):
            finetune_member(desk / "never", index, shape, tokenizer, task, settings, alone, Silent())
    validation = open_out_of_fold(teacher, 2, task.labels, None, None)
    everything = set(task.train.texts)
    for judges, texts in zip(validation.out_of_fold, learnt, strict=True):
        held = {text for text, judge in zip(validation.examples.texts, judges, strict=True) if judge}
        assert held == everything - texts
    assert learnt[0] != learnt[1]
    label_of = dict(zip(task.train.texts, task.train.labels, strict=True))
    assert [label_of[text] for text in validation.examples.texts] == validation.examples.labels.tolist()


def by_members(folder, texts):
    """What the members of a committee say together, without n-grams and uncalibrated."""
    committee = tinylm.load(folder)
    return vote(committee.votes(texts), Voting(committee.voting.vote))


def test_each_text_is_asked_once_and_answered_by_the_vote(teacher, tmp_path, monkeypatch):
    learnt = {}

    def learn(folder, _, start, sequences, targets, *__):
        learnt.update(folder=folder, start=start, sequences=sequences, targets=targets)
        raise InterruptedByUserError

    monkeypatch.setattr("tinylm.train.distill.distill_member", learn)
    texts = [text for text, _ in rows(300, 6)]
    with pytest.raises(InterruptedByUserError):
        tinylm.distill(teacher, [*texts, *texts[:50], " "], output=tmp_path / "out", **SHORT)
    assert (learnt["folder"], learnt["start"]) == (tmp_path / "out" / "member-0", teacher / "member-0")
    encoded = EncodedTexts(texts, load_tokenizer(teacher / "member-0"), 128)
    everything = np.arange(len(texts))
    assert np.array_equal(learnt["sequences"].fetch(everything), encoded.fetch(everything))
    np.testing.assert_allclose(learnt["targets"], by_members(teacher, texts), atol=1e-6)
    assert isinstance(learnt["targets"], np.memmap)


def test_distill_resumes_the_predictions_of_the_committee(teacher, desk, tmp_path, monkeypatch):
    monkeypatch.setattr(soft_targets, "_CHUNK", 256)
    texts = [text for text, _ in rows(900, 6)]
    predicted: list[int] = []
    predict_batch = Classifier.predict_batch

    def interrupted(self, given):
        if len(predicted) == 2:
            predicted.append(0)
            raise KeyboardInterrupt
        predicted.append(len(given))
        return predict_batch(self, given)

    monkeypatch.setattr(Classifier, "predict_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tinylm.distill(teacher, texts, output=tmp_path / "out", **SHORT)
    tinylm.distill(teacher, texts, output=tmp_path / "out", resume=True, **SHORT)
    assert predicted == [256, 256, 0, 256, 132], "each text once, though the run was cut off"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "committee.json",
        "member-0",
        "ngrams.safetensors",
        "run.json",
    ]


def test_distill_does_not_predict_again_for_a_member_that_is_to_be_finished(teacher, tmp_path, monkeypatch):
    texts = [text for text, _ in rows(300, 6)]
    monkeypatch.setattr("tinylm.train.distill.distill_member", lambda *_: (_ for _ in ()).throw(InterruptedByUserError))
    with pytest.raises(InterruptedByUserError):
        tinylm.distill(teacher, texts, output=tmp_path / "out", **SHORT)
    monkeypatch.undo()
    monkeypatch.setattr(Classifier, "predict_batch", lambda *_: pytest.fail("the committee predicted again"))
    tinylm.distill(teacher, texts, output=tmp_path / "out", resume=True, **SHORT)


def test_each_student_begins_with_its_own_member_and_they_vote_as_their_teacher(teacher, desk, tmp_path, heard):
    asked = {"output": tmp_path / "out", "steps": 1, "learning_rate": 1e-30, "precision": "float32"}
    student = tinylm.distill(teacher, desk / "notes.txt", **asked)
    votes = tinylm.load(teacher).votes(TEXTS)
    np.testing.assert_allclose(student.votes(TEXTS), votes[:1], atol=1e-6)
    assert np.abs(votes[0] - votes[1]).max() > 1e-4
    both = tinylm.distill(teacher, desk / "notes.txt", **asked, members=2, resume=True, progress=heard)
    np.testing.assert_allclose(both.votes(TEXTS), votes, atol=1e-6)
    assert both.voting.vote == "logit"
    assert heard.lines[0] == f"member 0 is distilled already: {tmp_path / 'out' / 'member-0'}"
    assert heard.lines[1].startswith("distilling into member 1: 1 updates in ")


def test_no_more_students_than_members(teacher, desk, tmp_path):
    for members, message in ((3, "has 2 members, not 3; distil into no more than it has"), (0, "members is 0")):
        with pytest.raises(InputError, match=message):
            tinylm.distill(teacher, desk / "notes.txt", output=tmp_path / "out", members=members, **SHORT)
    assert not (tmp_path / "out").exists()


def test_a_part_of_the_corpus_is_drawn_by_seed(teacher, desk, tmp_path, heard):
    corpus = {"corpus": desk / "new.csv", "text_column": "text", "documents": 15}
    tinylm.distill(teacher, **corpus, output=tmp_path / "out", progress=heard, **SHORT)
    assert "on 2 unseen texts" in heard.lines[-1]


def test_what_cannot_teach_is_refused_and_nothing_is_written(desk, student, teacher, tmp_path):
    tinylm.export(teacher, tmp_path / "exported")
    for model, message in (
        (student, "has one member only, and nothing to learn from others; give a committee"),
        (teacher / "member-0", "has one member only"),
        (tmp_path / "exported", "was exported, .*; give the folder it was made from"),
        (desk / "base", "is not a trained model: it has none of .*committee"),
        (desk / "base" / "member-0", "holds no classifier"),
        (tmp_path / "missing", "there is no model at .*missing"),
    ):
        with pytest.raises(InputError, match=message):
            tinylm.distill(model, desk / "notes.txt", output=tmp_path / "out", **SHORT)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_not_distilled_into(teacher, desk, tmp_path):
    (tmp_path / "a.txt").write_text("dear all")
    before = contents(teacher)
    with pytest.raises(InputError, match=r"holds something else \(a\.txt\); choose a new folder"):
        tinylm.distill(teacher, desk / "notes.txt", output=tmp_path, **SHORT)
    for resume, message in ((False, "already holds a run"), (True, "was started otherwise")):
        with pytest.raises(InputError, match=message):
            tinylm.distill(teacher, desk / "notes.txt", output=teacher, resume=resume, **SHORT)
    assert contents(tmp_path) == {"a.txt": b"dear all"} and contents(teacher) == before


def test_a_finished_student_is_left_alone_and_must_be_asked_for_as_it_was(student, teacher, desk, tmp_path, heard):
    tinylm.load(teacher).save(tmp_path / "copy")
    before = {path: path.stat().st_mtime_ns for path in student.glob("member-0/*")}
    asked = {"output": student, "progress": heard, **SHORT}
    with pytest.raises(InputError, match="already holds a run; add --resume"):
        tinylm.distill(teacher, desk / "notes.txt", **asked)
    for changes, message in (
        ({"steps": 3}, r"distillation\.steps was 2 and is now 3"),
        ({"corpus": desk / "new.csv"}, "corpus was .*notes.txt.* and is now .*new.csv"),
        ({"model": tmp_path / "copy"}, "teacher was .*teacher' and is now .*copy'"),
    ):
        given = {"model": teacher, "corpus": desk / "notes.txt", **asked} | changes
        with pytest.raises(InputError, match=message):
            tinylm.distill(**given, resume=True)
    assert heard.lines == []
    tinylm.distill(teacher, desk / "notes.txt", **asked, resume=True)
    assert heard.lines == [f"member 0 is distilled already: {student / 'member-0'}"]
    assert before == {path: path.stat().st_mtime_ns for path in student.glob("member-0/*")} and len(before) > 4


def test_finetune_notices_that_its_base_was_trained_again(desk, tmp_path, monkeypatch):
    """By the weights, since the path is the same."""
    monkeypatch.setenv("TINYLM_CACHE", str(tmp_path / "cache"))
    base, out = tmp_path / "base", tmp_path / "out"
    tinylm.pretrain(desk / "notes.txt", output=base, **TINY)
    cached = tinylm.finetune(base, desk / "labels.csv", **SHORT)
    tinylm.finetune(base, desk / "labels.csv", output=out, **SHORT)
    shutil.rmtree(base)
    tinylm.pretrain(desk / "notes.txt", output=base, **TINY, seed=1)
    again = tinylm.finetune(base, desk / "labels.csv", **SHORT)
    assert not np.allclose(again.predict_proba(TEXTS), cached.predict_proba(TEXTS))
    with pytest.raises(InputError, match=r"out was started otherwise: member-0 of the base has changed since"):
        tinylm.finetune(base, desk / "labels.csv", output=out, resume=True, **SHORT)


def test_finetune_resumes_with_more_members(desk, tmp_path):
    tinylm.finetune(desk / "base", desk / "labels.csv", output=tmp_path / "out", members=1, **SHORT)
    both = tinylm.finetune(desk / "base", desk / "labels.csv", output=tmp_path / "out", resume=True, **SHORT)
    assert len(both) == 2
    fewer = tinylm.finetune(
        desk / "base", desk / "labels.csv", output=tmp_path / "out", members=1, resume=True, **SHORT
    )
    assert len(fewer) == 1


def test_pretrain_refuses_an_old_name_and_says_the_new_one(desk, tmp_path):
    with pytest.raises(InputError, match=r"masked_tokens is now called mlm_weight; use that name"):
        tinylm.pretrain(desk / "notes.txt", output=tmp_path / "base", masked_tokens=1.0)


def test_a_vocabulary_of_other_text_is_warned_of_and_what_to_do_is_said(desk, tmp_path, heard):
    texts, vocabulary = ["printer jam in Αθήνα", "the wifi of Πάτρα is slow"], str(desk / "base" / "member-0")
    tinylm.pretrain(texts, output=tmp_path / "base", vocabulary=vocabulary, progress=heard, **TINY)
    warning = next(index for index, line in enumerate(heard.lines) if line.startswith("warning: "))
    assert "are [UNK], as the vocabulary is of other text" in heard.lines[warning]
    assert heard.lines[warning + 1] == "leave out --vocabulary, and one is trained on this text"


def test_distill_gives_each_sequence_its_own_target_where_a_text_has_no_piece(teacher, tmp_path, monkeypatch):
    """A text of control characters has no token, and no sequence; the targets after it must not move up."""
    learnt = {}

    def learn(_, __, ___, sequences, targets, *____):
        learnt.update(sequences=sequences, targets=targets)
        raise InterruptedByUserError

    monkeypatch.setattr("tinylm.train.distill.distill_member", learn)
    texts = [text for text, _ in rows(20, 6)]
    with pytest.raises(InterruptedByUserError):
        tinylm.distill(teacher, [*texts[:5], "\x01\x02", *texts[5:]], output=tmp_path / "out", **SHORT)
    assert len(learnt["sequences"]) == len(learnt["targets"]) == 20
    np.testing.assert_allclose(learnt["targets"], by_members(teacher, texts), atol=1e-6)
