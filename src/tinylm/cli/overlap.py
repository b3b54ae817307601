"""Commands on a corpus and a task: how far their tokens overlap, and a subset of the corpus that is chosen by it.

What reads text is imported when its command runs.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from tinylm.cli.commands import out, progress
from tinylm.core.errors import InputError
from tinylm.core.files import new_text_file
from tinylm.text.lines import UTF_8

if TYPE_CHECKING:
    from tinylm.text.corpus import Corpus
    from tinylm.tokens.overlap import TaskTokens
    from tinylm.tokens.token_file import TokenFile
    from tinylm.tokens.wordpiece import Tokenizer

_Output = Annotated[Path, Parameter(name=("--output", "-o"))]
_SHOWN_TOKENS = 12
_WRITTEN = (".jsonl", ".txt")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a corpus and a task are read."""

    corpus_column: str | None = None
    """Column of the corpus's text; found by the usual names."""
    corpus_encoding: str = UTF_8
    """Of files of the corpus that are text, such as cp1252 or utf-16."""
    documents: int | None = None
    """How many documents to look at, drawn by seed; all by default."""
    text_column: str | None = None
    """Column of the task's text; found by the usual names."""
    label_column: str | None = None
    """Column of its labels."""
    encoding: str = UTF_8
    """Of files of the task that are text."""
    vocabulary: str | None = None
    """A vocabulary to use, such as bert-base-uncased, or a folder; trained on the corpus by default."""
    data_dir: str | None = None
    """Folder of data sets known by name, else that of TINYLM_DATA."""
    seed: int = 0
    """Of the sample of the task, whose training part alone is looked at."""


_Reading = Annotated[Reading, Parameter(name="*")]


def overlap(
    corpus: str,
    task: str,
    /,
    *,
    reading: _Reading = Reading(),
    json_output: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """How much of a task's tokens a corpus has: what to expect of pre-training on it.

    Shares of the task's token types, of its running text, and of its types weighted by idf.

    Args:
        corpus: unlabelled text, as for `tinylm pretrain`.
        task: labelled text, as for `tinylm finetune`.
        json_output: print the shares as JSON.
    """
    from tinylm.tokens.overlap import overlap as measure

    read = _read(corpus, task, reading)
    found = measure(read.task, read.tokens.counts)
    if json_output:
        out.print_json(data={**asdict(found), "task_types": len(read.task.types), "documents": len(read.tokens)})
        return
    out.print(f"{read.tokens.meta.corpus}: {len(read.tokens):,} documents, {read.tokens.meta.tokens:,} tokens")
    out.print(
        f"{task}: {read.task.texts:,} training texts, {len(read.task.types):,} token types; of these the corpus has"
    )
    out.print(f"  {found.types:.1%} of the types")
    out.print(f"  {found.frequency:.1%} of the running text")
    out.print(f"  {found.idf:.1%} of the types weighted by idf")
    missing = read.task.types[read.tokens.counts[read.task.types] == 0]
    often = missing[np.argsort(-read.task.counts[missing], kind="stable")][:_SHOWN_TOKENS]
    if len(often):
        out.print(f"most frequent of those that it lacks: {', '.join(map(read.tokenizer.piece, often.tolist()))}")


def select(
    corpus: str,
    task: str,
    /,
    *,
    documents: Annotated[int, Parameter(name=("--number", "-n"))],
    output: _Output,
    reading: _Reading = Reading(),
) -> None:
    """Choose the documents of a corpus that a task has most use for, to pre-train on.

    They are those under whose token frequencies the task's training texts are most likely, chosen greedily.

    Args:
        corpus: unlabelled text, as for `tinylm pretrain`; it may be larger than memory.
        task: labelled text, as for `tinylm finetune`.
        documents: how many to choose.
        output: file to write, .jsonl or .txt with a document a line.
    """
    from tinylm.tokens.overlap import count_tokens
    from tinylm.tokens.overlap import overlap as measure
    from tinylm.tokens.selection import select_documents, stored_documents

    if output.suffix not in _WRITTEN:
        raise InputError(f"{output} has no format that can be written; name it {' or '.join(_WRITTEN)}")
    if output.exists():
        raise InputError(f"{output} is there already; choose another file")
    began = time.perf_counter()
    read = _read(corpus, task, reading)
    chosen = select_documents(read.tokens, read.task, documents, progress=progress)
    is_chosen = np.zeros(len(read.tokens), dtype=bool)
    is_chosen[chosen] = True
    size = 0
    with new_text_file(output) as file:
        for text, wanted in zip(stored_documents(read.corpus, read.tokenizer, read.tokens), is_chosen, strict=True):
            size += len(text.encode("utf-8", "replace"))
            if wanted:
                file.write(_line(text, output.suffix))
    seconds = time.perf_counter() - began
    ours, all_of_it = measure(read.task, count_tokens(read.tokens, chosen)), measure(read.task, read.tokens.counts)
    out.print(
        f"{len(chosen):,} of {len(read.tokens):,} documents are in {output}; they have {ours.types:.1%} of the task's "
        f"token types and {ours.frequency:.1%} of its running text (the whole corpus {all_of_it.types:.1%} and "
        f"{all_of_it.frequency:.1%})"
    )
    out.print(f"{size / 1e6:,.1f} MB of text in {seconds:,.1f} s: {size / 1e6 / seconds:,.1f} MB/s")
    out.print(f"Next:\n  tinylm pretrain --corpus {output} -o base")


@dataclass(frozen=True)
class _Read:
    """A corpus and a task, opened."""

    corpus: "Corpus"
    tokenizer: "Tokenizer"
    tokens: "TokenFile"
    task: "TaskTokens"


def _read(corpus: str, task: str, reading: Reading) -> _Read:
    from tinylm.text.corpus import CorpusSource
    from tinylm.text.sources import TaskSource
    from tinylm.tokens.encoding import tokenise
    from tinylm.tokens.loading import load_tokenizer
    from tinylm.tokens.overlap import TaskTokens
    from tinylm.tokens.vocabulary import corpus_tokenizer

    # The task is read first, so that what is wrong with it is reported at once.
    source = TaskSource(
        task,
        text_column=reading.text_column,
        label_column=reading.label_column,
        encoding=reading.encoding,
        data_dir=reading.data_dir,
    )
    texts = source.load(reading.seed).train.texts
    unlabelled = CorpusSource(
        corpus, reading.corpus_column, reading.corpus_encoding, reading.documents, reading.data_dir
    )
    opened = unlabelled.open(reading.seed, progress)
    if reading.vocabulary is None:
        tokenizer = corpus_tokenizer(opened, progress=progress)
    else:
        tokenizer = load_tokenizer(reading.vocabulary, reading.data_dir)
    return _Read(opened, tokenizer, tokenise(opened, tokenizer, progress=progress), TaskTokens.of(texts, tokenizer))


def _line(text: str, suffix: str) -> str:
    if suffix == ".jsonl":
        return json.dumps({"text": text}, ensure_ascii=False) + "\n"
    return " ".join(text.split()) + "\n"
