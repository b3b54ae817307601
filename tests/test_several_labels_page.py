"""docs/SEVERAL_LABELS.md does what it says: its commands run in their order, and so does its Python."""

import re
import shlex
from pathlib import Path

from cli_fixtures import call
from several_fixtures import write_tickets

PAGE = (Path(__file__).parents[1] / "docs" / "SEVERAL_LABELS.md").read_text(encoding="utf-8")
SHORT = ("--steps", "3", "--precision", "float32")


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]


def shortened(arguments):
    if arguments[0] == "pretrain":
        place = arguments.index("--budget")
        return [*arguments[:place], "--preset", "bert-1-w128", *SHORT, *arguments[place + 2 :]]
    return [*arguments, *SHORT] if arguments[0] == "finetune" else arguments


def test_what_the_page_says_runs(tmp_path, monkeypatch):
    write_tickets(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYLM_CACHE", str(tmp_path / "cache"))
    printed = {}
    for line in block("console").splitlines():
        words = shlex.split(line)[1:]
        target = words[words.index(">") + 1] if ">" in words else None
        ran = call(*shortened(words[: words.index(">")] if target else words))
        assert ran.code == 0, (line, ran.err)
        printed[words[0]] = ran.out
    assert "micro F1" in printed["evaluate"] and "labels found worst" in printed["evaluate"]
    code = block("python")
    assert 'budget="10m")' in code
    code = code.replace('budget="10m")', 'steps=3, preset="bert-1-w128", output="base-2")')
    names: dict = {}
    exec(code.replace("finetune(base, task)", 'finetune(base, task, steps=3, output="model-2")'), names)
    assert isinstance(names["labels"], list) and len(names["many"]) == 2
    assert names["probabilities"].shape == (1, 3)
