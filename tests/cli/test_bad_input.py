"""Bad input through the command line: docs/BAD_INPUT.md is the list, and each of its rows is run here."""

import contextlib
import gzip
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_fixtures import FINETUNE, SMALL, call, contents, rows, write_csv, write_help_desk

from tinylm.committee.files import read_committee, write_committee
from tinylm.committee.voting import PLAIN

DOCUMENT = Path(__file__).parents[2] / "docs" / "BAD_INPUT.md"
LABELS = rows(60, 1)

PREPARE: dict[str, Callable[[], object]] = {}


def prepared(function):
    """The preparation of the row that its docstring names."""
    PREPARE[function.__doc__] = function
    return function


def _parquet(labels: list, **named) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    texts = [text for text, _ in LABELS[: len(labels)]]
    parquet.write_table(pa.table({"text": texts, "label": labels}), "labels.parquet")


@prepared
def _no_usual_column():
    """no column has a usual name"""
    write_csv(Path("labels.csv"), [(*row, "x") for row in LABELS], ("words", "kind", "note"))


@prepared
def _empty_text():
    """a row without text"""
    write_csv(Path("labels.csv"), [*LABELS[:5], (" ", "printer"), *LABELS[5:]])


@prepared
def _empty_label():
    """a row without label"""
    write_csv(Path("labels.csv"), [*LABELS[:5], ("jam", ""), *LABELS[5:]])


@prepared
def _nan_label():
    """NaN for a label"""
    _parquet([1.0, 0.0, float("nan"), 1.0])


@prepared
def _null_label():
    """null for a label"""
    _parquet(["a", "b", None, "a"])


@prepared
def _seen_once():
    """a label seen once, refused on request"""
    write_csv(Path("labels.csv"), [*LABELS, ("the lift is stuck", "lift")])


@prepared
def _two_rows():
    """two rows a label"""
    write_csv(Path("labels.csv"), LABELS[:6])


@prepared
def _one_class():
    """one label only"""
    write_csv(Path("labels.csv"), [(text, "printer") for text, _ in LABELS])


@prepared
def _labels_latin1():
    """labels that are not UTF-8"""
    Path("labels.csv").write_bytes("text,label\nthe printer,printer\ndas Gerät,printer\n".encode("latin-1"))


@prepared
def _corpus_latin1():
    """a corpus that is not UTF-8"""
    Path("notes.txt").write_bytes(Path("notes.txt").read_bytes() + "Gerät\n".encode("latin-1"))


@prepared
def _binary():
    """a picture named .txt"""
    Path("picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


@prepared
def _cut_gzip():
    """a gzip file cut short"""
    Path("notes.txt.gz").write_bytes(gzip.compress(Path("notes.txt").read_bytes(), mtime=0)[:-20])


@prepared
def _no_gzip():
    """a file that is named .gz and is none"""
    shutil.copy("notes.txt", "notes.txt.gz")


@prepared
def _frozen_model():
    """a model with frozen heads to start from"""
    Path("model/member-0/training.json").write_text('{"head": "frozen"}')


@prepared
def _open_quote():
    """a quote left open"""
    Path("labels.csv").write_text('text,label\njam,printer\n"slow,network\nlocked,account\n')


@prepared
def _comma():
    """a comma outside quotes"""
    Path("labels.csv").write_text("text,label\njam,printer\nslow, very slow,network\n")


@prepared
def _test_label():
    """a label in the test part that training does not have"""
    write_csv(Path("test.csv"), [("jam", "printer"), ("stuck", "lift")])


@prepared
def _other_label():
    """a label that the model does not know"""
    write_csv(Path("other.csv"), [("jam", "printer"), ("stuck", "lift")])


@prepared
def _broken_json():
    """a line that is not JSON"""
    Path("labels.jsonl").write_text('{"text": "jam", "label": "printer"}\n{"text": "slow", \n')


@prepared
def _no_parquet():
    """a parquet file that is none"""
    Path("labels.parquet").write_text("text,label\n")


@prepared
def _empty_corpus():
    """an empty corpus"""
    Path("notes.txt").write_text("")


@prepared
def _blank_corpus():
    """a corpus of blank lines"""
    Path("notes.txt").write_text("\n \n\n")


@prepared
def _one_document():
    """a corpus of one document"""
    Path("notes.txt").write_text("the printer on floor 3 is jammed again and the paper is gone\n")


@prepared
def _empty_labels():
    """an empty file of labels"""
    Path("labels.csv").write_text("")


@prepared
def _header_only():
    """a table of labels without rows"""
    Path("labels.csv").write_text("text,label\n")


@prepared
def _document_format():
    """a format that is not read"""
    Path("notes.docx").write_bytes(b"PK")


@prepared
def _folder():
    """a folder that is no model"""
    Path("letters").mkdir()
    Path("letters/a.txt").write_text("dear all\n")


@prepared
def _taken():
    """an output folder with something else in it"""
    Path("letters").mkdir()
    Path("letters/a.txt").write_text("dear all\n")


@prepared
def _taken_by_something_else():
    """a study in a folder of something else"""
    _taken()


@prepared
def _no_study():
    """a report of what is no study"""
    _taken()


@prepared
def _broken_toml():
    """settings that are not TOML"""
    Path("settings.toml").write_text("[train\nsteps = 3\n")


@prepared
def _unknown_table():
    """settings for a command that is none"""
    Path("settings.toml").write_text("[trian]\nsteps = 3\n")


@prepared
def _unknown_key():
    """settings with an unknown key"""
    Path("settings.toml").write_text("[train]\nstepz = 3\n")


@prepared
def _unknown_nested_key():
    """settings with an unknown key for fine-tuning"""
    Path("settings.toml").write_text("[train.finetune]\nstepz = 3\n")


@prepared
def _wrong_value():
    """settings with a value of another type"""
    Path("settings.toml").write_text('[train]\nsteps = "many"\n')


@prepared
def _broken_committee():
    """a model whose committee.json is damaged"""
    Path("model/committee.json").write_text("{}")


@prepared
def _lost_weights():
    """a model without the weights of a member"""
    Path("model/member-0/model.safetensors").unlink()


@prepared
def _cut_weights():
    """a model whose weights are cut short"""
    weights = Path("model/member-0/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])


@prepared
def _exported():
    """an export of an export"""
    assert call("export", "model", "-o", "small").code == 0


def _committee() -> None:
    """Two members, alike."""
    shutil.copytree("model", "committee")
    shutil.copytree("committee/member-0", "committee/member-1")
    write_committee(Path("committee"), ["member-0", "member-1"], read_committee(Path("model")).labels, PLAIN)


@prepared
def _frozen_committee():
    """a committee with frozen heads to learn from"""
    _committee()
    Path("committee/member-1/training.json").write_text('{"head": "frozen"}')


@prepared
def _exported_teacher():
    """an exported model to learn from"""
    _exported()


@prepared
def _too_many_students():
    """more members than the committee has"""
    _committee()


@prepared
def _nothing_to_distill_on():
    """nothing to distill on"""
    _committee()
    Path("notes.txt").write_text("\n \n")


@prepared
def _one_text_to_distill_on():
    """one text to distill on, three times"""
    _committee()
    Path("notes.txt").write_text("the printer is jammed\n" * 3)


@prepared
def _no_column_to_distill_on():
    """no such column of what to distill on"""
    _committee()


@prepared
def _distilled_onto_itself():
    """a committee distilled onto itself"""
    _committee()


@prepared
def _no_record():
    """8 bits without labelled text"""
    Path("model/run.json").unlink()


@prepared
def _nothing_to_evaluate_on():
    """nothing to evaluate on"""
    _no_record()


@prepared
def _no_graph():
    """an export without its graph"""
    _exported()
    Path("small/committee.onnx").unlink()


@prepared
def _cut_graph():
    """an export that is cut short"""
    _exported()
    graph = Path("small/committee.onnx")
    graph.write_bytes(graph.read_bytes()[:1000])


@prepared
def _other_format():
    """an export of a later tinylm"""
    _exported()
    Path("small/artefact.json").write_text('{"format": 2}')


@prepared
def _empty_token():
    """an empty token file"""
    Path("empty").write_text("\n")


@prepared
def _no_rows():
    """vectors of a file without rows"""
    write_csv(Path("nothing.csv"), [])


@prepared
def _two_words():
    """a token of two words"""
    Path("words").write_text("open sesame\n")


@pytest.fixture
def port_8000():
    """Port 8000 taken, by this test or by whoever has it."""
    with socket.socket() as taken, contextlib.suppress(OSError):
        taken.bind(("127.0.0.1", 8000))
        taken.listen()
        yield


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """The help desk with a model trained on it."""
    folder = tmp_path_factory.mktemp("desk")
    write_help_desk(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        corpus = ("--corpus", "notes.txt", "--task", "labels.csv")
        assert call("train", *corpus, "-o", "model", *SMALL, *FINETUNE).code == 0
        # For rows about texts, numbers and files that are not there.
        shutil.copytree("model/pretrained", "base")
    return folder


@pytest.fixture
def here(desk, tmp_path, monkeypatch) -> Path:
    """A copy of the desk to stand in."""
    folder = tmp_path / "here"
    shutil.copytree(desk, folder)
    monkeypatch.chdir(folder)
    return folder


def _cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _documented() -> list[list[str]]:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines() if DOCUMENT.exists() else []
    return [cells for line in lines if line.startswith("|") and len(cells := _cells(line)) == 4 and "`" in cells[1]]


def run_row(command: str):
    """Run a row's command, with settings that make it short should it not fail."""
    program, *arguments = shlex.split(command)
    assert program == "tinylm"
    if arguments[0] in ("train", "pretrain", "finetune", "distill") and not {"--config", "--budget"} & set(arguments):
        arguments += ["--config", "fast.toml"]
    return call(*arguments)


@pytest.mark.parametrize("row", _documented(), ids=lambda row: row[0])
@pytest.mark.usefixtures("port_8000")
def test_what_the_document_says_is_what_is_said(row, here):
    what, command, said, code = row
    PREPARE.get(what, lambda: None)()
    before = contents(here)
    ran = run_row(command.strip("`"))
    assert (ran.error, ran.code) == (said, int(code))
    assert ran.out == "" and "Traceback" not in ran.err
    after = contents(here)
    assert {name: after.get(name) for name in before} == before, "something of the user's changed"
    assert {Path(name).name for name in after.keys() - before.keys()} <= {"run.json"}, "something half-written stays"


def test_each_prepared_situation_is_in_the_document():
    assert PREPARE.keys() <= {row[0] for row in _documented()}


def _small_disk(folder: Path, size: str) -> None:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path):
    """Makes a folder with a disk of its own."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command to make a small disk with")
    made = []

    def make(size: str) -> Path:
        folder = tmp_path / "disk"
        _small_disk(folder, size)
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_too_small_for_checkpoints_is_told_before_training(here, small_disk):
    ran = call("pretrain", "--corpus", "notes.txt", "-o", small_disk("4m") / "new", "--config", "fast.toml")
    assert ran.code == 2
    assert re.search(r"has \d+ MB free and the checkpoints of this model need \d+ MB; free some space", ran.error)


def test_a_full_disk_leaves_finished_members_and_what_was_there(here, small_disk):
    disk = small_disk("40m")
    (disk / "mine.txt").write_text("mine")
    assert call("pretrain", "--corpus", "notes.txt", "-o", disk / "new", "--config", "fast.toml").code == 0
    before = contents(disk)
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    ran = call("finetune", disk / "new", "--task", "labels.csv", "-o", disk / "model", "--config", "fast.toml")
    assert ran.code in (1, 2) and ran.out == "" and ran.error
    after = contents(disk)
    assert {name: after[name] for name in before} == before
    assert not list(disk.glob("model/member-0/*"))
    (disk / "ballast").unlink()
    again = ("finetune", disk / "new", "--task", "labels.csv", "-o", disk / "model", "--config", "fast.toml")
    assert call(*again, "--resume").code == 0
