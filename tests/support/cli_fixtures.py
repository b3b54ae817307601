"""What the tests of the command line share: a little help desk's text, a way to call tinylm, and its executable."""

import contextlib
import csv
import io
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

TINYLM = Path(sys.executable).with_name("tinylm")

TOPICS = {
    "account": ["password", "login", "locked", "user", "reset", "mail", "access", "key"],
    "network": ["wifi", "router", "cable", "vpn", "slow", "signal", "port", "switch"],
    "printer": ["paper", "toner", "jam", "tray", "cartridge", "ink", "scan", "floor"],
}
_COMMON = ["the", "on", "is", "my", "please", "help", "since", "today", "office", "with", "broken", "new", "and", "not"]

SMALL = ("--preset", "bert-1-w128", "--precision", "float32", "--steps", "3", "--members", "1")
FINETUNE = ("--finetune.steps", "3", "--finetune.precision", "float32")

CONFIG = """
[train]
preset = "bert-1-w128"
precision = "float32"
steps = 3
members = 1

[train.finetune]
steps = 3
precision = "float32"

[pretrain]
preset = "bert-1-w128"
precision = "float32"
steps = 3
members = 1

[finetune]
steps = 3
precision = "float32"

[distill]
steps = 3
precision = "float32"
"""


@dataclass(frozen=True)
class Ran:
    """What a call of the command line came to."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one sentence that says what is wrong."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert self.err.splitlines()[-1] == line
        return line.removeprefix("error: ")


def call(*arguments: object) -> Ran:
    """Run `tinylm` in this process."""
    from tinylm.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            code = leaving.code
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())


def sentence(topic: str, generator: random.Random, words: int) -> str:
    """Words of a topic between common ones."""
    return " ".join(generator.choice(TOPICS[topic] if generator.random() < 0.5 else _COMMON) for _ in range(words))


def rows(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts that differ, with their labels in turn."""
    generator, names = random.Random(seed), sorted(TOPICS)
    pairs = ((names[number % len(names)], number) for number in range(count))
    return [(f"{sentence(name, generator, 9)} {seed} {number}", name) for name, number in pairs]


def write_csv(path: Path, table: list[tuple[str, ...]], header: tuple[str, ...] = ("text", "label")) -> None:
    """Write a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *table])


def write_help_desk(folder: Path) -> None:
    """Write notes.txt, labels.csv, more.csv and new.csv."""
    generator = random.Random(0)
    topics = [generator.choice(sorted(TOPICS)) for _ in range(200)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notes.txt").write_text("".join(sentence(t, generator, generator.randint(8, 30)) + "\n" for t in topics))
    write_csv(folder / "labels.csv", rows(60, 1))
    write_csv(folder / "more.csv", rows(18, 2))
    write_csv(folder / "new.csv", [(text, str(number)) for number, (text, _) in enumerate(rows(18, 3))], ("text", "id"))
    (folder / "fast.toml").write_text(CONFIG)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def environment(**changes: str) -> dict[str, str]:
    """Of a child: one thread, so that runs repeat and tests do not fight for cores."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "TINYLM_DATA": "", **changes}
