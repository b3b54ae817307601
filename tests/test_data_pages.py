"""What docs/YOUR_DATA.md and docs/FASTTEXT.md say is done as it stands there, with trainings of two updates."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from cli_fixtures import TOPICS, call, rows, write_csv, write_help_desk

DOCS = Path(__file__).parents[1] / "docs"
SHORT = ("--steps", "2", "--precision", "float32")
PRETRAIN = ("--preset", "bert-1-w128", "--members", "1", *SHORT)


def blocks(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def run(line):
    """Run a line of a console block; its output goes where `>` sends it."""
    words = shlex.split(line)
    target = words[words.index(">") + 1] if ">" in words else None
    arguments = words[1 : words.index(">")] if target else words[1:]
    if "--budget" in arguments:
        place = arguments.index("--budget")
        arguments[place : place + 2] = PRETRAIN
    elif arguments[0] == "finetune":
        arguments += [*SHORT, "--no-search"]
    ran = call(*arguments)
    assert ran.code == 0, (line, ran.err)
    if target:
        Path(target).write_text(ran.out, encoding="utf-8")
    return ran


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A help desk with every file that the pages name."""
    folder = tmp_path_factory.mktemp("desk")
    write_help_desk(folder)
    labelled = rows(60, 1)
    with (folder / "tickets.csv").open("w", encoding="cp1252", newline="") as file:
        csv.writer(file, delimiter=";").writerows([("text", "label"), *((f"{t} für", label) for t, label in labelled)])
    write_csv(
        folder / "weighted.csv", [(*row, str(1 + i % 3)) for i, row in enumerate(labelled)], ("text", "label", "weight")
    )
    write_csv(folder / "rare.csv", [*labelled, ("the lift is stuck", "lift")])
    related = [
        {
            "text": f"item {i} is in box {i}",
            "label": ("what", "where")[i % 2],
            "spans": [[5, 6]] if i % 2 else [[17, 18]],
        }
        for i in [*range(10)] * 4
    ]
    for name, some in (("relations", related), ("sentences", related[:3])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    (folder / "tickets.jsonl").write_text(
        "".join(
            json.dumps({"text": t, "label": label, "customer": i // 4, "date": f"2024-01-{1 + i // 2:02}"}) + "\n"
            for i, (t, label) in enumerate(labelled)
        )
    )
    for name, count, seed in (("train", 60, 1), ("test", 18, 2)):
        lines = (f"__label__{label} {text}\n" for text, label in rows(count, seed))
        (folder / f"{name}.txt").write_text("".join(lines))
    (folder / "new.txt").write_text("".join(f"{text}\n" for text, _ in rows(6, 3)))
    return folder


def test_what_stands_under_your_data_runs_in_its_order(desk, monkeypatch):
    monkeypatch.chdir(desk)
    assert call("pretrain", "--corpus", "notes.txt", "-o", "base", *PRETRAIN).code == 0
    lines = [line for block in blocks("YOUR_DATA.md", "console") for line in block.splitlines()]
    ran = {line: run(line) for line in lines}
    with Path("labelled.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["text", "id", "label", "probability", "disagreement"]
    assert json.loads(Path("labelled.jsonl").read_text().splitlines()[1])["row"] == 2
    assert all(name in ran["tinylm evaluate helpdesk tickets.csv --by-label"].out for name in (*TOPICS, "precision"))
    assert "never held out: lift" in ran["tinylm finetune base --task rare.csv -o rare"].err
    weights = json.loads(Path("printers/run.json").read_text())["settings"]["class_weight"]
    assert weights == {"printer": 5.0, "network": 0.5}
    predicted = ran["tinylm predict relations --file sentences.jsonl --entities spans"].out.splitlines()
    assert [line.split("\t")[2] for line in predicted[:2]] == [
        "item 0 is in box <e1> 0 </e1>",
        "item <e1> 1 </e1> is in box 1",
    ]
    unmarked = call("predict", "relations", "--file", "sentences.jsonl")
    assert unmarked.err.startswith("warning: relations was trained on texts with entities marked; name their column")
    assert len(unmarked.out.splitlines()) == 3
    other = call("evaluate", "relations", "sentences.jsonl")
    assert other.code == 2
    assert "relations was trained on texts with entities marked; name the column of those of" in other.err
    assert call("evaluate", "relations", "sentences.jsonl", "--entities", "spans").code == 0
    assert call("evaluate", "relations", "relations.jsonl").code == 0
    assert "3 label(s) kept, 0 new" in ran["tinylm finetune --start-from rare --task labels.csv -o more"].err
    (table,) = blocks("YOUR_DATA.md", "toml")
    Path("settings.toml").write_text(table)
    configured = call(
        "finetune", "base", "--task", "labels.csv", "-o", "c", "--config", "settings.toml", *SHORT, "--no-search"
    )
    assert configured.code == 0, configured.err
    assert json.loads(Path("c/run.json").read_text())["settings"]["class_weight"] == weights
    (block,) = blocks("YOUR_DATA.md", "python")
    names: dict = {}
    exec(re.sub(r"(tinylm\.finetune\(.*)\)", r'\1, steps=2, precision="float32", search=False)', block), names)
    assert names["committee"].labels == tuple(TOPICS)


def test_what_stands_under_coming_from_fasttext_runs_in_its_order(desk, monkeypatch, tmp_path):
    monkeypatch.chdir(desk)
    (block,) = blocks("FASTTEXT.md", "console")
    lines = [
        line.replace("-o base", f"-o {tmp_path / 'base'}").replace(" base ", f" {tmp_path / 'base'} ")
        for line in block.splitlines()
    ]
    ran = [run(line) for line in lines]
    assert "label    precision  recall     F1  texts" in ran[2].out
    assert [line.split("\t")[0] in TOPICS for line in ran[3].out.splitlines()] == [True] * 6
    (block,) = blocks("FASTTEXT.md", "python")
    block = block.replace('budget="10m"', 'steps=2, preset="bert-1-w128", precision="float32"')
    names: dict = {}
    exec(block.replace('"train.txt")', '"train.txt", steps=2, precision="float32", search=False)'), names)
    assert names["model"].labels == tuple(TOPICS)


def test_each_command_that_is_named_in_the_table_can_be_parsed():
    from tinylm.cli.main import app

    named = re.findall(
        r"\| `(?:echo [^|]*\| )?(tinylm [^`]*)` \|", (DOCS / "FASTTEXT.md").read_text().replace("\\|", "|")
    )
    assert len(named) >= 9
    for line in named:
        function, _, _ = app.parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)
        assert function.__name__ == line.split()[1]
