"""Other languages than English: accuracy, unknown tokens, length of pieces, beside tf-idf on words and on characters.

    python -m benchmarks.languages members --data ../shared/data/languages --tasks th-wisesight,yo-afrisenti
    python -m benchmarks.languages rivals --data ../shared/data/languages --tasks th-wisesight,yo-afrisenti
    python -m benchmarks.languages tokens --data ../shared/data/languages --tasks sib200/tha_Thai,sib200/amh_Ethi

A task is a folder with `train.jsonl.gz` and `test.jsonl.gz`, rows of `text` and `label`; the text to pre-train on is
`corpus/LANGUAGE.txt.gz` beside it where there is one, else the task's own training texts. `members` pre-trains two of
them, fine-tunes them with default settings and classifies the test texts; `rivals` has the same labels and chooses by
cross-validation. Each result is added to `--results` at once, and what is there already is left out, so that an
interrupted run goes on. The name of a run keeps one version of the package apart from another.
"""

import argparse
import gzip
import json
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import tinylm
from benchmarks.results import add_results, measure_once
from tinylm.text.corpus import open_corpus
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.vocabulary import train_tokenizer
from tinylm.tokens.wordpiece import Tokenizer

Rows = list[tuple[str, str]]


def _rows(path: Path, most: int) -> Rows:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        read = [json.loads(line) for line in file]
    return [(row["text"], row["label"]) for row in read[:most]]


def _corpus(data: Path, task: str) -> tuple[str, list[str]]:
    """Where the text to pre-train on comes from, and its documents."""
    path = data / "corpus" / f"{task[:2]}.txt.gz"
    if "/" not in task and path.is_file():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return path.name, [line.rstrip("\n") for line in file]
    return "the task", [text for text, _ in _rows(data / task / "train.jsonl.gz", 1 << 30)]


def _figures(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, Any]:
    """What a vocabulary makes of texts: per cent unknown, characters a piece, and words that it takes for one another.

    Words are those between blanks, lower-cased and in NFC.
    """
    ids, _ = tokenizer.encode(texts)
    lowered = [unicodedata.normalize("NFC", text.lower()) for text in texts]
    words = {word for text in lowered for word in text.split()}
    return {
        "unknown": round(100 * float(np.mean(ids == tokenizer.unk_id)), 3),
        "pieces a word": round(len(ids) / sum(len(text.split()) for text in texts), 2),
        "characters a piece": round(sum(len("".join(text.split())) for text in texts) / len(ids), 2),
        "words": len(words),
        "collapsed": round(100 * (1 - len({tokenizer.normalised(word) for word in words}) / len(words)), 2),
    }


def _members(data: Path, task: str, arguments: argparse.Namespace) -> dict[str, Any]:
    source, documents = _corpus(data, task)
    train, test = (_rows(data / task / f"{part}.jsonl.gz", arguments.rows) for part in ("train", "test"))
    end = {"steps": arguments.steps} if arguments.steps else {"budget": arguments.budget}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = tinylm.pretrain(documents, output=folder / "base", members=2, **end)
        changes: dict[str, Any] = (
            {"search": False, "steps": arguments.finetune_steps} if arguments.finetune_steps else {}
        )
        texts, labels = zip(*train, strict=True)
        model = tinylm.finetune(base, texts=texts, labels=labels, output=folder / "model", **changes)
        predicted = model.predict([text for text, _ in test])
        tokenizer = load_tokenizer(base.members[0])
        records = [json.loads((member / "training.json").read_text(encoding="utf-8")) for member in base.members]
    return {
        "corpus": source,
        "documents": len(documents),
        "labels": len(train),
        "tested": len(test),
        "accuracy": round(100 * float(np.mean([p == label for p, (_, label) in zip(predicted, test, strict=True)])), 2),
        "million tokens a member": round(float(np.mean([record["tokens"] for record in records])) / 1e6, 2),
        **_figures(tokenizer, [text for text, _ in train]),
    }


def _rivals(data: Path, task: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from tinylm.study.baselines.tfidf import fit_tfidf_svm  # noqa: PLC0415

    train, test = (_rows(data / task / f"{part}.jsonl.gz", arguments.rows) for part in ("train", "test"))
    names = sorted({label for _, label in train})
    numbers = [names.index(label) for _, label in train]
    accuracies = {}
    for features in ("words", "characters"):
        model = fit_tfidf_svm([text for text, _ in train], numbers, features=(features,))
        predicted = model.predict([text for text, _ in test])
        right = [names[p] == label for p, (_, label) in zip(predicted, test, strict=True)]
        accuracies[features] = round(100 * float(np.mean(right)), 2)
    return {"labels": len(train), "tested": len(test), **accuracies}


def _tokens(data: Path, task: str, arguments: argparse.Namespace) -> dict[str, Any]:
    texts = [text for text, _ in _rows(data / task / "train.jsonl.gz", arguments.rows)]
    tokenizer = train_tokenizer(open_corpus(texts).documents(), 30_000)
    return {"pieces": tokenizer.vocab_size, **_figures(tokenizer, texts)}


_MODES: dict[str, Callable[[Path, str, argparse.Namespace], dict[str, Any]]] = {
    "members": _members,
    "rivals": _rivals,
    "tokens": _tokens,
}


def main() -> None:
    """Measure what is not in the results yet, task by task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=_MODES)
    parser.add_argument("--data", type=Path, required=True, help="folder with tasks and corpora")
    parser.add_argument("--tasks", required=True, help="names, with commas between them")
    parser.add_argument("--name", default="now", help="of this version of the package")
    parser.add_argument("--budget", default="3m", help="of a member")
    parser.add_argument("--steps", type=int, help="updates of a member, in place of the budget")
    parser.add_argument(
        "--finetune-steps", type=int, help="updates of fine-tuning, without a search, which takes longest"
    )
    parser.add_argument("--rows", type=int, default=5000, help="training rows, and test rows, at most")
    add_results(parser, "languages")
    arguments = parser.parse_args()
    measure = _MODES[arguments.mode]
    for task in arguments.tasks.split(","):
        key = f"{arguments.mode} {arguments.name} {task}"
        measure_once(arguments.results, key, partial(measure, arguments.data, task, arguments))


if __name__ == "__main__":
    main()
