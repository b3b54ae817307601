"""The README does what it says: its commands run, and what it names exists."""

import json
import re
import shlex
import subprocess
import urllib.request
from pathlib import Path

import pytest
from cli_fixtures import FINETUNE, TINYLM, call, environment, write_help_desk
from voters import write_voters

from tinylm.cli.main import app
from tinylm.model.config import DEFAULT_PRESET, PRESETS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands(block):
    lines = block.replace("\\\n", " ").splitlines()
    return [shlex.split(line.partition("tinylm ")[2]) for line in lines if re.match(r"(\S*/)?tinylm ", line)]


def shortened(arguments):
    """The same command with a training of a few updates in place of its budget."""
    if "--budget" not in arguments:
        return arguments
    place = arguments.index("--budget")
    return [*arguments[:place], "--steps", "2", "--preset", "bert-1-w128", *FINETUNE, *arguments[place + 2 :]]


ALL = [arguments for block in blocks("console") for arguments in commands(block)]


@pytest.mark.parametrize("arguments", ALL, ids=" ".join)
def test_each_command_can_be_parsed(arguments):
    arguments = arguments[: arguments.index(">")] if ">" in arguments else arguments
    function, _, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    assert function.__name__ == arguments[0]


@pytest.mark.slow
def test_the_commands_for_your_own_text_and_labels_run_in_their_order(tmp_path, monkeypatch):
    write_help_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    section = README.partition("## Your own text and labels")[2]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)[1]
    ran = []
    for arguments in commands(block):
        target = arguments[arguments.index(">") + 1] if ">" in arguments else None
        ran.append(call(*shortened(arguments[: arguments.index(">")] if target else arguments)))
        assert ran[-1].code == 0, ran[-1].err
        if target:
            Path(target).write_text(ran[-1].out)
    assert [arguments[0] for arguments in commands(block)] == ["train", "predict", "predict", "evaluate"]
    assert ran[1].out.endswith("\tprinter on floor 3 is jammed again\n")
    assert len(Path("labelled.jsonl").read_text().splitlines()) == 18
    assert len(list(Path("model").glob("member-*"))) == 4


def test_what_stands_under_training_exporting_and_answering_runs_in_its_order(tmp_path, monkeypatch):
    write_help_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    training, answering = blocks("python")
    assert 'budget="10m")' in training
    training = training.replace('budget="10m"', 'steps=2, preset="bert-1-w128"')
    # The commands around it have a model of their own by that name.
    training = training.replace('save("helpdesk")', 'save("model")')
    names: dict = {}
    exec(training.replace('(base, "labels.csv")', '(base, "labels.csv", steps=2)'), names)
    assert len(names["committee"]) == 4
    (teaching,) = (arguments for arguments in ALL if arguments[0] == "distill")
    assert call(*teaching, "--steps", "2").code == 0
    assert call("predict", teaching[teaching.index("-o") + 1], "no signal").code == 0
    (block,) = (block for block in blocks("console") if "tinylm export" in block)
    exporting, predicting = commands(block)
    exported, predicted = call(*exporting), call(*predicting)
    assert exported.code == 0
    assert "small: int8" in exported.out or "so float32 is kept" in exported.err
    assert predicted.out.endswith("\tprinter on floor 3 is jammed again\n")
    exec(answering, names)
    assert names["label"] in ("account", "network", "printer")


@pytest.mark.slow
def test_what_curl_sends_is_answered(tokenizer, tmp_path):
    write_voters(tmp_path / "small", [(tokenizer, {})] * 2)
    (tmp_path / "token.txt").write_text("a-token")
    serving = [arguments for arguments in ALL if arguments[0] == "serve"]
    for arguments, block in zip(serving, (b for b in blocks("console") if "tinylm serve" in b), strict=True):
        options = [word for word in arguments if not word.isdigit()]
        place = options.index("--port") if "--port" in options else len(options)
        options[place : place + 1] = ["--port", "0"]
        if "--host" in options:
            options[options.index("--host") + 1] = "127.0.0.1"
        if "--workers" in options:
            options.insert(options.index("--workers") + 1, "2")
        child = subprocess.Popen([TINYLM, *options], cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment())
        try:
            child.stderr.readline()
            address = re.search(r"http://[^;]*", child.stderr.readline())[0]
            for line in re.findall(r"^curl .*", block, re.MULTILINE):
                words = shlex.split(line.replace("$(cat token.txt)", "a-token"))
                header = words[words.index("-H") + 1].split(": ") if "-H" in words else ("X", "none")
                body = words[words.index("-d") + 1].encode()
                request = urllib.request.Request(f"{address}/predict", body, dict([header]))  # type: ignore[list-item]
                answer = json.load(urllib.request.urlopen(request, timeout=20))
                assert answer["predictions" if b"texts" in body else "label"]
                assert ("words" in answer) == (b"explain" in body)
        finally:
            child.terminate()
            child.wait(20)
            child.stderr.close()


def test_the_presets_that_are_named_are_those_there_are():
    named = re.search(r"^Presets: (.*?)\n\n", README, re.MULTILINE | re.DOTALL)[1]
    assert re.findall(r"`(bert-[^`]*)`", named) == list(PRESETS)
    assert f"`{DEFAULT_PRESET}` (the default)" in named


def test_the_commands_that_are_named_are_those_there_are():
    assert re.findall(r"^\| `tinylm ([a-z]+)` \|", README, re.MULTILINE) == [
        name for name in app if not name.startswith("-")
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_files_on_the_map_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    assert table
    for place, what in table:
        folders = re.findall(r"`([a-z_/]+/)`", place)
        files = re.findall(r"`([a-z_]+\.py)`", what if folders else place)
        missing = [name for name in files if not (ROOT / "src/tinylm" / (folders or [""])[0] / name).exists()]
        assert files and not missing


def test_make_demo_runs_the_demo():
    assert "$(BIN)/tinylm demo --output demo" in (ROOT / "Makefile").read_text()
