"""docs/LANGUAGES.md does what it says: its commands run, and the lines that it shows are what is printed."""

import re
import shlex
from pathlib import Path

from cli_fixtures import FINETUNE, call, write_csv
from snippets import SNIPPETS

from tinylm.tokens.scripts import BITS_OF_A_WORD
from tinylm.tokens.vocabulary import ALPHABET, COVERAGE

PAGE = (Path(__file__).parents[1] / "docs" / "LANGUAGES.md").read_text(encoding="utf-8")


def test_the_commands_run_on_text_in_vietnamese(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = SNIPPETS["vietnamese"].split()
    texts = [f"{word} {other}" for word in words[:8] for other in words[8:14]]
    Path("notes.txt").write_text("\n".join(texts), encoding="utf-8")
    write_csv(Path("labels.csv"), [(text, text.split()[0]) for text in texts])
    block = re.search(r"```console\n(.*?)```", PAGE, re.DOTALL)[1]
    train, predict = [shlex.split(line)[1:] for line in block.splitlines()]
    place = train.index("--budget")
    short = ["--steps", "2", "--preset", "bert-1-w128", "--members", "1", *FINETUNE, "--finetune.no-search"]
    ran = call(*train[:place], *short, *train[place + 2 :])
    assert ran.code == 0, ran.err
    assert re.search(
        r"pieces: 0\.00% are \[UNK\], \d\.\d\d pieces a word, \d\.\d characters a piece", ran.err + ran.out
    )
    answer = call(*predict)
    assert answer.code == 0 and answer.out.split("\t")[0] in words


def test_the_numbers_are_those_of_the_code():
    assert f"{COVERAGE:.2%}".replace("%", " %") in PAGE
    assert f"{ALPHABET:,} at least" in PAGE
    assert f"up to {BITS_OF_A_WORD:.0f})" in PAGE
