"""What the tests of studies share: a help desk with text enough to hold some of it out, and settings to read it."""

import random
from pathlib import Path

from cli_fixtures import TOPICS, rows, sentence, write_csv

DESK = ("--scale", "smoke", "--set", "corpus=notes.txt", "vocabulary=none", "tasks=labels.csv")
"""Flags of `tinylm study` for a folder of `write_desk`."""


def write_desk(folder: Path) -> None:
    """Write notes.txt with 400 documents, and labels.csv with 40 texts of each of three topics."""
    generator = random.Random(0)
    topics = [generator.choice(sorted(TOPICS)) for _ in range(400)]
    lines = [
        f"{sentence(topic, generator, generator.randint(8, 40))} {number}\n" for number, topic in enumerate(topics)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notes.txt").write_text("".join(lines))
    write_csv(folder / "labels.csv", [*rows(120, 1)])
