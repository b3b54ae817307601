"""The Python interface, and the steps that it shares with the command line."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tinylm
from cli_fixtures import contents, environment, rows, write_csv, write_help_desk
from tinylm.errors import InputError
from tinylm.pipeline import open_base, train
from tinylm.text.task import TaskSource
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
    code = "import sys; sys.modules['torch'] = None; import tinylm; tinylm.finetune"
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
    base = tinylm.pretrain(documents, **TINY)
    assert base.folder.is_relative_to(tmp_path)
    committee = tinylm.finetune(base, desk / "labels.csv", **SHORT)
    before = contents(tmp_path)
    assert tinylm.pretrain(documents, **TINY) == base
    again = tinylm.finetune(base, desk / "labels.csv", **SHORT)
    assert contents(tmp_path) == before, "nothing is trained again"
    assert (again.predict_proba(TEXTS) == committee.predict_proba(TEXTS)).all()
    assert tinylm.pretrain(documents, **TINY, seed=1).folder != base.folder
    more = tinylm.pretrain(documents, **TINY, members=2)
    assert more.folder == base.folder and len(more.members) == 2


def test_a_saved_committee_is_loaded_as_it_was(desk, tmp_path):
    committee = tinylm.finetune(desk / "base", desk / "labels.csv", output=tmp_path / "out", **SHORT)
    committee.save(tmp_path / "copy")
    for folder in ("out", "copy"):
        loaded = tinylm.load(tmp_path / folder)
        assert loaded.labels == ("account", "network", "printer")
        assert (loaded.predict_proba(TEXTS) == committee.predict_proba(TEXTS)).all()


def test_train_is_pretrain_and_finetune(desk, tmp_path):
    committee = train(
        desk / "notes.txt",
        desk / "labels.csv",
        output=tmp_path / "out",
        members=2,
        preset="bert-1-w128",
        pretraining=PretrainSettings(**SHORT),
        finetuning=FinetuneSettings(**SHORT),
    )
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


def test_a_vocabulary_larger_than_the_text_can_give_is_said(desk, tmp_path):
    heard = []

    class Listener:
        def say(self, message):
            heard.append(message)

        def start(self, *_):
            pass

        def update(self, *_):
            pass

        def finish(self):
            pass

    tinylm.pretrain(desk / "notes.txt", output=tmp_path / "base", progress=Listener(), **TINY)
    assert any("30,000 pieces asked" in line and "reached" in line for line in heard)


def test_the_global_generator_is_not_read(desk, tmp_path):
    torch.manual_seed(torch.initial_seed() + 1)
    tinylm.pretrain(desk / "notes.txt", output=tmp_path / "base", **TINY)
    weights = [folder / "member-0" / "model.safetensors" for folder in (tmp_path / "base", desk / "base")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
