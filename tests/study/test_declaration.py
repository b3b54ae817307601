"""Settings of studies, their members and samples."""

import re

import numpy as np
import pytest
from study_fixtures import write_desk

from tinylm.core.errors import InputError
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd
from tinylm.study.costs import seconds_of_run
from tinylm.study.declaration import parse_value
from tinylm.study.grid import FailedRunError
from tinylm.study.questions.committee import Committee
from tinylm.study.questions.gap import Gap
from tinylm.study.questions.shape import written_out
from tinylm.study.runs.arms import Length, arm, tokens_per_update
from tinylm.study.runs.lab import Lab, Sample
from tinylm.study.runs.pretrained import view
from tinylm.study.runs.run import name_of
from tinylm.study.runs.run_folders import RunFolders
from tinylm.study.runs.shapes import scaled
from tinylm.study.runs.subsets import Subset, held_out_documents, take_documents
from tinylm.study.statistics.votes import error_correlation, hard_votes
from tinylm.study.studies import STUDIES
from tinylm.tokens.overlap import TaskTokens

DESK = ("corpus=notes.txt", "vocabulary=none", "tasks=labels.csv")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    write_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Lab(RunFolders(tmp_path / "runs"))


@pytest.fixture
def text():
    return Gap.at("smoke", DESK).text


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_study_has_every_scale(name, scale):
    study = STUDIES[name].at(scale)
    cells = list(study.cells())
    assert cells and all(study.runs(levels, seed) for levels, seed in cells)
    assert study.width == {"smoke": 24, "laptop": 144, "paper": 768}[scale]


def test_study_settings_are_changed_by_key_and_value():
    study = Gap.at("laptop", ["labels=5,none", "rates=0.5,2", "vocabulary=none", "documents=10_000", "epochs=2.5"])
    assert (study.labels, study.rates, study.vocabulary, study.documents) == ((5, None), (0.5, 2.0), None, 10_000)
    assert (study.epochs, study.tokens) == (2.5, None), "passes take the place of tokens"


@pytest.mark.parametrize("name", STUDIES)
def test_study_prints_settings_as_set_takes_them(name):
    study = STUDIES[name].at("laptop")
    given = [part for part in re.findall(r"(\w+=.*?)(?= \w+=|$)", study.settings_line()) if part != "epochs=none"]
    assert STUDIES[name].at("laptop", given) == study


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (int, "3", 3),
        (float | None, "none", None),
        (tuple[str, ...], "a, b,", ("a", "b")),
        (tuple[int | None, ...], "1,none", (1, None)),
    ],
)
def test_parse_value_reads_what_a_field_has(kind, given, value):
    assert parse_value("key", kind, given) == value


def test_length_has_one_end():
    assert Length(tokens=5).title == "5 tokens" and Length(seconds=3).title == "3 s"
    for ends in ({}, {"tokens": 1, "epochs": 1.0}):
        with pytest.raises(InputError, match="one of tokens, epochs and seconds"):
            Length(**ends)


@pytest.mark.parametrize("name", ["mlm", "default"])
def test_length_in_tokens_becomes_updates_that_read_so_many(lab, text, name):
    settings, tokens = arm(name), lab.tokens(text)
    data = view(settings, tokens, np.arange(len(tokens)), 128)
    per_update = tokens_per_update(settings, data)
    ended = Length(tokens=round(10 * per_update)).applied(settings, data)
    assert ended.steps in (10, 11) and ended.budget is None
    assert Length(epochs=2.0).applied(settings, data).epochs == 2.0
    assert Length(seconds=1.5).applied(settings, data).budget == "1.5s"


def test_shapes_keep_the_papers_proportions():
    small = {name: scaled(name, 192, 1000) for name in ("bert-6", "bert-1", "bert-1-24h", "bert-1-8h")}
    assert [shape.hidden_size for shape in small.values()] == [192, 192, 384, 128]
    assert [shape.heads for shape in small.values()] == [12, 12, 24, 8]
    assert small["bert-6"].layers == 6 and small["bert-1-24h"].intermediate_size == 1536
    assert scaled("bert-1-conv2-k3-d64", 192, 1000).front_end == Conv2dFrontEnd(kernels=(3, 3), channels=16)
    full = scaled("bert-1-8h", 768, 30_522)
    assert (full.hidden_size, full.intermediate_size, full.vocab_size) == (512, 2048, 30_522)
    assert scaled("bert-1-w256", 24, 1000).hidden_size == 256, "a width in the name stays"


def test_subsets_are_nested_and_leave_out_what_is_held_out(lab, text):
    whole = lab.tokens(text)
    held = held_out_documents(whole)
    assert len(held) == 20

    def texts(subset, seed=0):
        tokens = subset.tokens(whole, lab.tokenizer(text).unk_id, None, seed)
        return {tokens.ids[a:b].tobytes() for a, b in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)}

    held_texts = {whole.ids[whole.offsets[i] : whole.offsets[i + 1]].tobytes() for i in held}
    small, large, every = texts(Subset(50)), texts(Subset(200)), texts(Subset())
    assert small < large < every and len(every) == 380 and not every & held_texts
    assert texts(Subset(50), seed=1) != small
    with pytest.raises(InputError, match="a subset of 381 documents cannot be had"):
        texts(Subset(381))


def test_taken_documents_are_a_token_file_of_their_own(lab, text):
    whole = lab.tokens(text)
    taken = take_documents(whole, np.array([3, 7]))
    assert (len(taken), taken.meta.tokens, taken.offsets[0]) == (2, len(taken.ids), 0)
    np.testing.assert_array_equal(taken.ids[: taken.offsets[1]], whole.ids[whole.offsets[3] : whole.offsets[4]])
    assert taken.counts.sum() == len(taken.ids) - 2


def test_types_that_are_kept_out_are_replaced_in_the_same_documents(lab, text):
    whole, tokenizer = lab.tokens(text), lab.tokenizer(text)
    task = lab.task_tokens("labels.csv", text, 0)
    full = Subset(100).tokens(whole, tokenizer.unk_id, None, 0)
    half = Subset(100, "without", "labels.csv", 0.5).tokens(whole, tokenizer.unk_id, task, 0)
    gone = (full.counts > 0) & (half.counts == 0)
    np.testing.assert_array_equal(full.offsets, half.offsets)
    assert 0.3 < gone[task.types].mean() < 0.6 and not gone[np.setdiff1d(np.arange(len(gone)), task.types)].any()
    assert half.counts[tokenizer.unk_id] == full.counts[gone].sum()


def test_sample_has_the_labels_that_are_asked_for_and_one_of_each_more(lab):
    few, many = (lab.task(Sample("labels.csv", labels, 4, 10), 0) for labels in (3, None))
    assert np.bincount(few.task.train.labels).tolist() == [4, 4, 4]
    assert few.validation.texts == many.validation.texts and len(few.validation) == 12
    assert set(few.task.train.texts) < set(many.task.train.texts)
    parts = [set(many.task.train.texts), set(many.validation.texts), set(many.task.test.texts)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 120


def test_a_member_is_named_by_what_determines_it(lab):
    study = Gap.at("smoke", DESK)
    member = study.pretrained("mlm", "bert-1", 0)
    facts = member.facts(lab)
    assert name_of(member, lab).startswith("member-") and facts["edition"] and facts["settings"]["seed"] == 0
    others = [
        study.pretrained("default", "bert-1", 0),
        study.pretrained("mlm", "bert-1-8h", 0),
        study.pretrained("mlm", "bert-1", 1),
        study.pretrained("mlm", "bert-1", 0, index=1),
        study.pretrained("mlm", "bert-1", 0, length=Length(tokens=7)),
        study.pretrained("mlm", "bert-1", 0, subset=Subset(7)),
        Gap.at("smoke", [*DESK, "width=36"]).pretrained("mlm", "bert-1", 0),
    ]
    assert len({name_of(run, lab) for run in (member, *others)}) == 8
    same = Committee.at("smoke", [*DESK, "members=9"]).pretrained("mlm", "bert-1", 0)
    assert name_of(same, lab) == name_of(member, lab), "studies share members"


def test_a_search_takes_the_candidate_of_the_best_validation(lab):
    study = Gap.at("smoke", [*DESK, "rates=1,2,4"])
    first, other = (study.tuned(study.start("scratch", "bert-1", seed), "labels.csv", seed) for seed in (0, 1))
    assert first.resolved(lab) is None and first.repeats_a_need and not other.repeats_a_need
    found = [(0.5, 1.0), (0.8, 0.9), (0.8, 0.7)]
    for run, (accuracy, loss) in zip(first.search(), found, strict=True):
        lab.store.keep(name_of(run, lab), {"measured": {"validation": accuracy, "validation_cross_entropy": loss}})
    assert first.resolved(lab) == first.search()[2], "of equal accuracies the lower cross-entropy"
    chosen = other.resolved(lab)
    assert chosen is not None and (chosen.candidate.rate, chosen.seed) == (4.0, 1)


def test_a_search_leaves_failed_candidates_out(lab):
    study = Gap.at("smoke", [*DESK, "rates=1,2"])
    run = study.tuned(study.start("scratch", "bert-1", 0), "labels.csv", 0)
    first, second = run.search()
    lab.store.keep(name_of(first, lab), {"failed": "DivergedError: training diverged"})
    lab.store.keep(name_of(second, lab), {"measured": {"validation": 0.1, "validation_cross_entropy": 3.0}})
    assert run.resolved(lab) == second
    lab.store.keep(name_of(second, lab), {"failed": "DivergedError: training diverged"})
    with pytest.raises(FailedRunError, match=r"every candidate of .* failed: DivergedError"):
        run.resolved(lab)


def test_cost_is_in_proportion_to_what_is_read(lab):
    study = Gap.at("smoke", DESK)
    short, long = (
        seconds_of_run(study.pretrained("mlm", "bert-1", 0, length=Length(tokens=n)), lab) for n in (10**6, 10**8)
    )
    assert 0 < short < long / 50
    assert seconds_of_run(study.pretrained("mlm", "bert-1", 0, length=Length(seconds=70)), lab) == 70
    assert seconds_of_run(study.tuned(study.start("scratch", "bert-1", 0), "labels.csv", 0), lab) > 0


def test_hard_votes_and_correlation_of_errors():
    labels = np.array([0, 0, 1, 1])
    sure, other = np.eye(2)[[0, 0, 1, 0]], np.eye(2)[[0, 1, 1, 0]]
    votes = np.stack([sure, other, np.array([[0.6, 0.4], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])])
    counted = hard_votes(votes).mean(0)
    counts = np.eye(2)[votes.argmax(2)].sum(0)
    assert (counted.argmax(1) == counts.argmax(1)).all(), "three members of two classes are never even"
    assert (counted.argmax(1) == labels).mean() == 0.75
    even = hard_votes(votes[1:]).mean(0)
    assert even[1].argmax() == votes[1:].mean(0)[1].argmax(), "the higher mean probability decides between equal counts"
    np.testing.assert_allclose(hard_votes(votes).sum(2), 1)
    wrong = np.array([[0, 0, 0, 1], [0, 1, 0, 1]], float)
    assert error_correlation(votes[:2], labels) == pytest.approx(np.corrcoef(wrong)[0, 1])
    assert error_correlation(votes[1:], labels) is None, "a member that is never wrong"


def test_task_tokens_are_those_of_the_training_part_alone(lab, text):
    drawn = lab.task(Sample("labels.csv"), 0)
    counted = lab.task_tokens("labels.csv", text, 0)
    assert counted.counts.sum() == TaskTokens.of(drawn.task.train.texts, lab.tokenizer(text)).counts.sum()


def test_shapes_can_be_written_out():
    shape = scaled("l2-w96-h6-f2-c3x8", 24, 1000)
    assert (shape.layers, shape.hidden_size, shape.heads, shape.intermediate_size) == (2, 96, 6, 192)
    assert shape.front_end == Conv2dFrontEnd(kernels=(3,), channels=8)
    assert scaled("l1-w64-h4-f4-dw5", 24, 1000).front_end == DepthwiseFrontEnd(kernel=5)
    with pytest.raises(InputError, match="no preset is called 'l1-w64'"):
        scaled("l1-w64", 24, 1000)


def test_written_out_shapes_have_heads_that_share_the_width():
    point = {"layers": 1, "width": 96, "head": 64, "feed_forward": 4, "front_end": "-dw3"}
    assert written_out(point) == "l1-w96-h1-f4-dw3"
    assert written_out({**point, "head": 16}) == "l1-w96-h6-f4-dw3"


@pytest.mark.parametrize(
    ("task", "labels", "train", "validation", "test"),
    [
        ("ag_news", None, 1001, 50, 1000),
        ("dbpedia_14", None, 101, 50, 100),
        ("dbpedia_14", 5, 6, 50, 100),
        # FewRel has no row beyond the paper's sample.
        ("fewrel", None, 580, 50, 70),
        ("fewrel", 20, 21, 50, 70),
    ],
)
def test_samples_of_the_papers_tasks_have_the_papers_sizes(data, tmp_path, task, labels, train, validation, test):
    drawn = Lab(RunFolders(tmp_path), str(data)).task(Sample(task, labels), 1)
    parts = (drawn.task.train, drawn.validation, drawn.task.test)
    for part, expected in zip(parts, (train, validation, test), strict=True):
        counts = np.bincount(part.labels)
        assert counts.max() == expected and counts.min() >= 0.98 * expected
    assert not set(drawn.validation.texts) & {*drawn.task.train.texts, *drawn.task.test.texts}
