"""`tinylm overlap` and `tinylm select` from the command line."""

import json
from pathlib import Path

import pytest
from cli_fixtures import TOPICS, call, write_csv
from study_fixtures import write_desk


@pytest.fixture
def desk(tmp_path, monkeypatch):
    write_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    # Texts of one topic alone, so that the documents of that topic are the ones to choose.
    words = TOPICS["printer"]
    write_csv(
        Path("printers.csv"),
        [(f"{a} {b}", str(i % 2)) for i, (a, b) in enumerate(zip(words * 4, words[1:] * 4, strict=False))],
    )
    return tmp_path


def topic_share(texts: list[str]) -> float:
    words = " ".join(texts).split()
    return sum(word in TOPICS["printer"] for word in words) / len(words)


def test_overlap_prints_three_shares_and_what_is_missing(desk):
    ran = call("overlap", "notes.txt", "printers.csv")
    assert ran.code == 0, ran.err
    assert "notes.txt: 400 documents" in ran.out and "100.0% of the types\n" in ran.out
    stored = json.loads(call("overlap", "notes.txt", "printers.csv", "--json").out)
    assert stored["types"] == stored["frequency"] == 1.0 and stored["documents"] == 400


def test_overlap_of_part_of_a_corpus_names_tokens_that_it_lacks(desk):
    Path("few.txt").write_text("the floor is slow\npaper on the floor\n")
    base = (
        "pretrain",
        "--corpus",
        "notes.txt",
        "--preset",
        "bert-1-w128",
        "--steps",
        "1",
        "--members",
        "1",
        "-o",
        "base",
    )
    assert call(*base, "--precision", "float32").code == 0
    ran = call("overlap", "few.txt", "printers.csv", "--vocabulary", "base/member-0")
    assert ran.code == 0, ran.err
    assert "most frequent of those that it lacks:" in ran.out and "toner" in ran.out.splitlines()[-1]


@pytest.mark.parametrize("file", ["chosen.jsonl", "chosen.txt"])
def test_select_writes_the_documents_that_the_task_has_most_use_for(desk, file):
    ran = call("select", "notes.txt", "printers.csv", "-n", "40", "-o", file)
    assert ran.code == 0, ran.err
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines] if file.endswith("jsonl") else lines
    corpus = Path("notes.txt").read_text().splitlines()
    assert len(texts) == 40 and set(texts) <= set(corpus)
    assert topic_share(texts) > 2 * topic_share(corpus)
    assert "40 of 400 documents are in" in ran.out and "MB/s" in ran.out
    assert (
        call(
            "pretrain",
            "--corpus",
            file,
            "--preset",
            "bert-1-w128",
            "--steps",
            "1",
            "--members",
            "1",
            "--precision",
            "float32",
            "-o",
            "base",
        ).code
        == 0
    )
