"""A small help desk whose tickets have several labels."""

import json
import random
from pathlib import Path

from cli_fixtures import TOPICS, sentence


def tickets(count: int, seed: int) -> list[tuple[str, list[str]]]:
    """Texts of one topic or two, or of none, with the topics as labels."""
    generator, names = random.Random(seed), sorted(TOPICS)
    found = []
    for number in range(count):
        labels = sorted(generator.sample(names, number % 3))
        words = [sentence(name, generator, 6) for name in labels] or ["nothing is wrong here today"]
        found.append((f"{' '.join(words)} {seed} {number}", labels))
    return found


def write_tickets(folder: Path) -> None:
    """Write notes.txt, labels.csv with `|`, tickets.jsonl with lists, columns.csv, labels.txt, more.csv and new.csv."""
    generator, names = random.Random(0), sorted(TOPICS)
    folder.mkdir(parents=True, exist_ok=True)
    notes = (sentence(generator.choice(names), generator, generator.randint(8, 30)) + "\n" for _ in range(200))
    (folder / "notes.txt").write_text("".join(notes))
    rows = tickets(90, 1)
    (folder / "labels.csv").write_text("text,labels\n" + "".join(f"{text},{'|'.join(x)}\n" for text, x in rows))
    (folder / "tickets.jsonl").write_text("".join(json.dumps({"text": text, "labels": x}) + "\n" for text, x in rows))
    ones = (f"{text},{','.join(str(int(name in x)) for name in names)}\n" for text, x in rows)
    (folder / "columns.csv").write_text(f"text,{','.join(names)}\n" + "".join(ones))
    lines = (" ".join([*(f"__label__{name}" for name in x), text]) + "\n" for text, x in rows)
    (folder / "labels.txt").write_text("".join(lines))
    (folder / "more.csv").write_text("text,labels\n" + "".join(f"{t},{'|'.join(x)}\n" for t, x in tickets(18, 2)))
    (folder / "new.csv").write_text("text,id\n" + "".join(f"{t},{n}\n" for n, (t, _) in enumerate(tickets(9, 3))))
