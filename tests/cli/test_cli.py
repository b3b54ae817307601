"""The command line as its user meets it: what it prints where, its exit codes, how it is stopped and gone on with."""

import json
import os
import re
import select
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cli_fixtures import FINETUNE, SMALL, TINYLM, call, contents, environment, rows, write_help_desk

from tinylm.text.sources import load_task

KEYS = {"accuracy", "accuracy_interval", "macro_f1", "expected_calibration_error", "n", "members", "accuracy_by_size"}
COMMANDS = (
    *("demo", "train", "pretrain", "finetune", "distill", "evaluate", "predict", "embed", "export", "serve"),
    *("overlap", "select", "report", "study"),
)
TRAIN = ("train", "--corpus", "notes.txt", "--task", "labels.csv")
DISTILL = ("distill", "model", "--corpus", "notes.txt")


def program(*arguments, **options):
    """Run the real executable to its end."""
    options = {"capture_output": True, "text": True, "timeout": 120, "env": environment(), **options}
    return subprocess.run([TINYLM, *arguments], check=False, **options)


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """The help desk, and a model with two members trained on it."""
    folder = tmp_path_factory.mktemp("desk")
    write_help_desk(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(*TRAIN, "-o", "model", *SMALL[:-1], "2", *FINETUNE).code == 0
    return folder


@pytest.fixture
def here(desk, monkeypatch) -> Path:
    monkeypatch.chdir(desk)
    return desk


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """A help desk of the test's own, with nothing trained."""
    write_help_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts_of(name):
    return [line.split(",")[0] for line in Path(name).read_text().splitlines()[1:]]


# Help and usage


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command):
    ran = call(command, "--help")
    assert ran.code == 0 and ran.err == ""
    assert ran.out.startswith(f"Usage: tinylm {command}")
    # Every option has a sentence of its own: no line with a default and nothing before it.
    assert not re.search(r"--[a-z.-]+ +[A-Z]* +│", ran.out)


def test_the_commands_are_those_of_the_help():
    ran = call("--help")
    assert ran.code == 0
    assert set(re.findall(r"│ ([a-z]+) ", ran.out)) == set(COMMANDS)


def test_the_version_is_that_of_the_package():
    import tinylm

    assert call("--version").out.strip() == tinylm.__version__


@pytest.mark.slow
def test_usage_errors_of_the_executable_are_one_line(here):
    ran = program("predict", "model", "--jsn", "x")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "error: Unknown option: --jsn. Did you mean --json?; see tinylm predict --help\n"


# Training


def test_train_prints_results_on_standard_output_and_progress_on_standard_error(own):
    ran = call(*TRAIN, "-o", "out", *SMALL, *FINETUNE)
    assert ran.code == 0
    assert re.match(r"accuracy \d+\.\d% \(95 % interval .*\) on 12 texts\nmacro F1 ", ran.out)
    assert "tinylm predict out '" in ran.out.splitlines()[-1]
    assert "pre-training member 0: 3 updates" in ran.err and "fine-tuning member 0" in ran.err
    assert "accuracy 9" not in ran.err and "updates" not in ran.out


def test_train_in_json_is_nothing_but_json(own):
    ran = call(*TRAIN, "-o", "out", *SMALL, *FINETUNE, "--compare", "--json")
    result = json.loads(ran.out)
    assert result.keys() >= KEYS | {"disagreement", "worst_pairs", "rows"}
    assert (result["n"], len(result["members"])) == (12, 1)
    names = [row["name"] for row in result["rows"]]
    pretrained = ["pre-trained, one member", "pre-trained, one member and n-grams"]
    assert names == ["tf-idf + linear SVM", "from scratch, one member", *pretrained]
    assert json.loads(Path("out/results.json").read_text())["rows"] == result["rows"]


def test_train_is_pretrain_and_finetune_and_evaluate(own):
    assert call("pretrain", "--corpus", "notes.txt", "-o", "base", *SMALL).code == 0
    settings = [argument.replace("finetune.", "") for argument in FINETUNE]
    apart = call("finetune", "base", "--task", "labels.csv", "-o", "apart", *settings, "--json")
    together = call(*TRAIN, "-o", "together", *SMALL, *FINETUNE, "--json")
    assert json.loads(apart.out) == json.loads(together.out)
    weights = [Path(name, "member-0", "model.safetensors").read_bytes() for name in ("apart", "together")]
    assert weights[0] == weights[1]
    evaluated = json.loads(call("evaluate", "apart", "labels.csv", "--json").out)
    trained = {key: value for key, value in json.loads(apart.out).items() if key != "rows"}
    # One is computed with one thread, the other with all: sums differ in their last digits.
    errors = [measured.pop("expected_calibration_error") for measured in (evaluated, trained)]
    assert errors[0] == pytest.approx(errors[1], abs=1e-6)
    assert evaluated == trained
    ran = call("evaluate", "apart", "--json")
    assert ran.err.splitlines()[0] == "measured on the test part of labels.csv"
    by_default = json.loads(ran.out)
    assert by_default.pop("expected_calibration_error") == pytest.approx(errors[0], abs=1e-6)
    assert by_default == trained


def test_train_reads_its_task_once(own, monkeypatch):
    read = []

    def counted(*arguments, **options):
        read.append(options)
        return load_task(*arguments, **options)

    monkeypatch.setattr("tinylm.text.sources.load_task", counted)
    assert call(*TRAIN, "-o", "out", *SMALL, *FINETUNE).code == 0
    assert len(read) == 1


def test_presets_take_turns_and_a_part_of_the_members_can_be_finetuned(own):
    shapes = ("--preset", "bert-1-w128, bert-1-w256", "--members", "3")
    assert call("pretrain", "--corpus", "notes.txt", "-o", "base", *SMALL[2:-2], *shapes).code == 0
    widths = [json.loads(Path(f"base/member-{i}/config.json").read_text())["hidden_size"] for i in range(3)]
    assert widths == [128, 256, 128]
    settings = [argument.replace("finetune.", "") for argument in FINETUNE]
    arguments = ("finetune", "base", "--task", "labels.csv", "-o", "out", *settings)
    ran = call(*arguments, "--members", "2", "--vote", "logit", "--json")
    assert len(json.loads(ran.out)["members"]) == 2
    assert json.loads(Path("out/committee.json").read_text())["vote"] == "logit"


def test_settings_from_a_file_give_defaults_and_the_command_line_wins(own):
    ran = call("train", "--config", "fast.toml", *TRAIN[1:], "-o", "out", "--finetune.steps", "2")
    assert ran.code == 0
    assert json.loads(Path("out/pretrained/run.json").read_text())["settings"]["steps"] == 3
    finetuning = json.loads(Path("out/run.json").read_text())["settings"]
    assert (finetuning["steps"], finetuning["precision"]) == (2, "float32")
    assert call("predict", "out", "printer jam").code == 0, "the settings of one call are not those of the next"


def test_distill_says_what_to_type_next(here, tmp_path):
    output = tmp_path / "one member"
    ran = call(*DISTILL, "-o", output, "--steps", "3", "--precision", "float32")
    assert ran.code == 0
    assert ran.out == f"The model is in {output}; next:\n  tinylm evaluate '{output}' labels.csv\n"
    assert "agreement with the committee's members on" in ran.err
    following = call(*shlex.split(ran.out.splitlines()[-1])[1:])
    assert following.code == 0 and following.out.splitlines()[0].endswith(" on 12 texts")


def test_distill_takes_settings_from_a_file_a_column_and_numbers_of_texts_and_members(here, tmp_path):
    options = ("--config", "fast.toml", "--corpus-column", "text", "--documents", "20", "--members", "2")
    ran = call("distill", "model", "--corpus", "labels.csv", "-o", tmp_path / "one", *options, "--dropout", "0.25")
    assert ran.code == 0 and "on 2 unseen texts" in ran.err
    assert len(list((tmp_path / "one").glob("member-*"))) == 2
    asked = json.loads((tmp_path / "one" / "run.json").read_text())["distillation"]
    assert (asked["steps"], asked["precision"], asked["dropout"]) == (3, "float32", 0.25)


# Going on


def test_more_members_are_added_and_finished_ones_are_left_alone(own):
    arguments = (*TRAIN, "-o", "out", *FINETUNE, *SMALL[:-1])
    assert call(*arguments, "1").code == 0
    files = [path for path in Path("out").glob("**/member-0/*") if path.is_file()]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    assert len(before) > 8
    ran = call(*arguments, "2", "--resume", "--json")
    assert len(json.loads(ran.out)["members"]) == 2
    assert "member 0 is pre-trained already" in ran.err and "member 0 is fine-tuned already" in ran.err
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before


def test_a_resumed_run_must_be_asked_for_as_it_was_started(here):
    arguments = (*TRAIN, "-o", "model", *SMALL[2:], *FINETUNE, "--resume")
    before = contents(Path("model"))
    ran = call(*arguments, "--preset", "bert-1-w256")
    assert (ran.code, "presets was ['bert-1-w128'] and is now ['bert-1-w256']" in ran.error) == (2, True)
    ran = call(*arguments, *SMALL[:2], "--finetune.learning-rate", "0.1")
    assert (ran.code, "settings.learning_rate was None and is now 0.1" in ran.error) == (2, True)
    assert contents(Path("model")) == before


def test_a_taken_folder_is_refused_before_anything_is_trained(own):
    Path("letters").mkdir()
    Path("letters/a.txt").write_text("dear all")
    ran = call(*TRAIN, "-o", "letters", *SMALL, *FINETUNE)
    assert (ran.code, ran.err) == (2, "error: letters holds something else (a.txt); choose a new folder\n")
    assert contents(Path("letters")) == {"a.txt": b"dear all"}


def stop_when(arguments, found, number=signal.SIGINT, **options):
    """Start tinylm, send it a signal as soon as `found()`, and wait for its end."""
    with subprocess.Popen(
        [TINYLM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**options),
    ) as child:
        deadline = time.monotonic() + 60
        while not found() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    return child.returncode, out, err


@pytest.mark.slow
def test_ctrl_c_saves_and_the_printed_command_ends_as_if_nothing_had_happened(own):
    steps = ("--steps", "60", "--finetune.steps", "60")
    settings = (*SMALL[:4], "--members", "1", *steps, "--finetune.precision", "float32", "--finetune.no-search")
    command = [*TRAIN, "-o", "stop here", *settings]
    stages = ("stop here/pretrained/member-0.partial/metrics.jsonl", "stop here/member-0.partial/metrics.jsonl")
    for stage, file in enumerate(stages):
        code, out, err = stop_when(command, Path(file).exists)
        assert (code, out) == (130, ""), err
        assert "Traceback" not in err
        told, again = err.splitlines()[-2:]
        assert re.fullmatch(r"interrupted after update \d+; everything so far is saved in .*partial; to go on:", told)
        assert shlex.split(again) == ["tinylm", *TRAIN, "-o", "stop here", *settings, "--resume"]
        command = shlex.split(again)[1:]
        assert Path(file).parent.joinpath("checkpoints").is_dir(), stage
    resumed = program(*command, "--json")
    straight = program(*TRAIN, "-o", "straight", *settings, "--json")
    assert resumed.returncode == straight.returncode == 0
    assert resumed.stdout == straight.stdout
    for member in ("pretrained/member-0", "member-0"):
        weights = [Path(name, member, "model.safetensors").read_bytes() for name in ("stop here", "straight")]
        assert weights[0] == weights[1]
    assert not list(Path("stop here").glob("**/*.partial"))


@pytest.mark.slow
def test_ctrl_c_while_distilling_saves_and_the_printed_command_ends_as_if_nothing_had_happened(here, tmp_path):
    settings = ("--steps", "100", "--precision", "float32")
    stopped, straight = tmp_path / "stop here", tmp_path / "straight"
    code, out, err = stop_when(
        [*DISTILL, "-o", stopped, *settings], (stopped / "member-0.partial/metrics.jsonl").exists
    )
    assert (code, out) == (130, ""), err
    assert "Traceback" not in err
    told, again = err.splitlines()[-2:]
    assert re.fullmatch(r"interrupted after update \d+; everything so far is saved in .*partial; to go on:", told)
    assert shlex.split(again) == ["tinylm", *DISTILL, "-o", str(stopped), *settings, "--resume"]
    assert (stopped / "member-0.partial" / "checkpoints").is_dir()
    assert program(*shlex.split(again)[1:]).returncode == program(*DISTILL, "-o", straight, *settings).returncode == 0
    weights = [folder / "member-0" / "model.safetensors" for folder in (stopped, straight)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert sorted(path.name for path in stopped.iterdir()) == [
        "committee.json",
        "member-0",
        "ngrams.safetensors",
        "run.json",
    ]


@pytest.mark.slow
def test_ctrl_c_while_tokenising_leaves_nothing_half_written(own):
    line = " ".join(text for text, _ in rows(50, 9))
    with Path("notes.txt").open("w") as file:
        file.writelines(f"{line} {number}\n" for number in range(6_000))
    cache = own / "cache"
    found = [str(own / "base"), str(cache)]
    command = ["pretrain", "--corpus", "notes.txt", "-o", found[0], *SMALL]
    code, out, err = stop_when(command, lambda: any(cache.glob("tokens/.*/tokens.bin")), TINYLM_CACHE=found[1])
    assert (code, out) == (130, ""), err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == f"  {shlex.join(['tinylm', *command, '--resume'])}"
    assert not list(cache.glob("tokens/*")) and not list(cache.glob("tokens/.*"))
    assert not list(Path("base").glob("member*"))


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["0.3 M weights", "validation loss"], ids=["before the first update", "in training"])
def test_the_cursor_comes_back_after_ctrl_c_in_a_terminal(own, sign):
    import pty

    leader, follower = pty.openpty()
    command = [TINYLM, "pretrain", "--corpus", "notes.txt", "-o", "base", *SMALL[:4], "--steps", "100000"]
    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=environment(TERM="xterm", COLUMNS="200")
    ) as c:
        os.close(follower)
        seen, stopped = b"", False
        while True:
            try:
                seen += os.read(leader, 65536)
            except OSError:
                break
            if not stopped and sign.encode() in seen:
                stopped = True
                c.send_signal(signal.SIGINT)
    os.close(leader)
    assert c.returncode == 130, seen.decode()
    assert b"\x1b[?25l" in seen, "a bar was drawn"
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l")
    assert seen.rfind(b"to go on") > seen.rfind(b"\x1b[?25h")


# Asking


def test_evaluate_in_json_has_stable_keys(here):
    ran = call("evaluate", "model", "more.csv", "--json")
    result = json.loads(ran.out)
    assert result.keys() == KEYS | {"disagreement", "worst_pairs", "ngrams", "truncated", "by_label"}
    assert (result["n"], len(result["members"])) == (18, 2)
    assert ran.err == ""


def test_predict_answers_arguments(here):
    ran = call("predict", "model", "printer jam", "two\twords  here")
    assert ran.code == 0 and ran.err == ""
    lines = [line.split("\t") for line in ran.out.splitlines()]
    assert [line[2] for line in lines] == ["printer jam", "two words here"]
    assert all(line[0] in ("account", "network", "printer") and 0 < float(line[1]) <= 1 for line in lines)


def test_predict_in_json_has_stable_keys(here):
    (line,) = call("predict", "model", "printer jam", "--json").out.splitlines()
    answer = json.loads(line)
    measures = ["label", "probability", "probabilities", "disagreement", "votes", "tokens", "truncated", "ngrams"]
    assert list(answer) == ["row", "text", *measures]
    assert list(answer["probabilities"]) == ["account", "network", "printer"]
    assert answer["probability"] == max(answer["probabilities"].values()) == answer["probabilities"][answer["label"]]
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


@pytest.fixture
def formats(here):
    """The texts of new.csv in every format."""
    import gzip

    import pyarrow as pa
    from pyarrow import parquet

    texts = texts_of("new.csv")
    parquet.write_table(pa.table({"text": texts}), "new.parquet")
    Path("new.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    Path("new.txt.gz").write_bytes(gzip.compress("".join(f"{text}\n" for text in texts).encode()))
    return texts


@pytest.mark.parametrize("name", ["new.csv", "new.jsonl", "new.parquet", "new.txt.gz"])
def test_predict_answers_a_file_of_any_format_in_its_order(formats, name):
    ran = call("predict", "model", "--file", name)
    assert [line.split("\t")[2] for line in ran.out.splitlines()] == formats
    assert ran.out == call("predict", "model", *formats).out


def test_predict_keeps_a_line_for_an_empty_text_and_one_of_100_000_words(here):
    Path("odd.txt").write_text(f"jam\n\n{'printer ' * 100_000}\nslow")
    started = time.monotonic()
    ran = call("predict", "model", "--file", "odd.txt", "--json")
    assert time.monotonic() - started < 5
    assert (ran.code, len(ran.out.splitlines())) == (0, 4)


@pytest.mark.slow
def test_predict_answers_standard_input_line_by_line_while_the_writer_waits(here):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([TINYLM, "predict", "model"], bufsize=0, env=environment(), **pipes) as child:  # type: ignore[call-overload]
        for text in (b"printer jam", b"", "das Gerät".encode()):
            child.stdin.write(text + b"\n")
            assert select.select([child.stdout], [], [], 30)[0], "no answer while the writer waits"
            assert child.stdout.readline().rstrip(b"\n").split(b"\t")[2] == text
        child.stdin.write(b"no newline at the end")
        child.stdin.close()
        assert child.stdout.readline().endswith(b"\tno newline at the end\n")
        assert child.wait(30) == 0 and child.stderr.read() == b""


@pytest.mark.slow
def test_predict_answers_up_to_the_line_of_standard_input_that_is_not_utf_8_and_names_it(here):
    ran = program("predict", "model", input=b"jam\nGer\xe4t\n", text=False)
    assert ran.returncode == 2
    assert ran.stdout.count(b"\n") == 1 and ran.stdout.endswith(b"\tjam\n")
    assert ran.stderr == (b"error: standard input, line 2 is not UTF-8 (byte 4); convert it, or remove the line\n")


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(here):
    Path("many.txt").write_text("printer jam\n" * 5000)
    command = f"set -o pipefail; {shlex.quote(str(TINYLM))} predict model --file many.txt | head -1"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), check=False)
    assert (ran.returncode, ran.stderr, len(ran.stdout.splitlines())) == (0, "", 1)
