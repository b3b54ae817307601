"""Unlabelled text as a stream of documents: files, folders, globs, hub data sets, this machine's docs, lists.

A corpus is restartable and never in memory. A subset of n documents is the first n of a seeded shuffle, so
that subsets of one seed are nested: the 10,000 are among the 40,000.
"""

import glob
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from tinylm.core.errors import InputError
from tinylm.core.files import file_digest
from tinylm.core.progress import Progress
from tinylm.core.seeds import derive_seed, numpy_generator
from tinylm.text.columns import text_column as find_text_column
from tinylm.text.formats import FORMATS, is_supported, open_table
from tinylm.text.hub import SCHEME, HubSplit, open_hub
from tinylm.text.known import DOCS, WIKIPEDIA, WIKIPEDIA_HUB, local_folder, shadowed
from tinylm.text.lines import UTF_8, require_encoding
from tinylm.text.plain import plain_documents
from tinylm.text.python_docs import cached_documentation
from tinylm.text.tables import PlainText, Table

_OPTION = "--corpus-column"
_ENCODING = "--corpus-encoding"
_EMPTY_NAME = "the corpus is an empty name; give a file, folder, glob, hf://org/name, or docs:"


@dataclass(frozen=True)
class Corpus:
    """Documents to learn a language from.

    Attributes:
        name: where they come from, for people.
        fingerprint: changes when the documents may have: hex digits.
    """

    name: str
    fingerprint: str
    _read: Callable[[], Iterator[str]]

    def documents(self) -> Iterator[str]:
        """Stream the documents from the beginning; blank ones are none."""
        return (document for document in self._read() if document and not document.isspace())


@dataclass(frozen=True)
class CorpusSource:
    """Where unlabelled text comes from, and how much of it is read; see `open_corpus`.

    Raises:
        InputError: fields that contradict each other.
    """

    source: Annotated[
        str | Path | Sequence[str] | Corpus,
        Parameter(
            name="corpus", metavar="SOURCE", accepts_keys=False, n_tokens=1, converter=lambda _, tokens: tokens[0].value
        ),
    ]
    """A file, folder, glob, `hf://org/name[/config]`, `docs:`, `wikipedia`, texts in memory, or an open corpus."""
    text_column: Annotated[str | None, Parameter(name="corpus-column")] = None
    """Column of the text; found by the usual names when None."""
    encoding: Annotated[str, Parameter(name="corpus-encoding")] = UTF_8
    """Of files that are text, such as cp1252 or utf-16."""
    documents: int | None = None
    """How many to keep, drawn by the seed; all when None."""
    data_dir: str | Path | None = None
    """Folder where `wikipedia` is looked for; when None, that of `TINYLM_DATA`, else the hub."""

    def __post_init__(self) -> None:
        _check_documents(self.documents)
        require_encoding(self.encoding)
        if self.text_column is not None and not isinstance(self.source, str | Path):
            raise InputError(f"text_column={self.text_column!r} names a column, and texts in memory have none")
        if not str(self.source):
            raise InputError(_EMPTY_NAME)

    def open(self, seed: int, progress: Progress | None = None) -> Corpus:
        """Open it; `seed` draws the documents, and `progress` receives a note on a name that is also a path.

        Raises:
            InputError: as `open_corpus`.
        """
        note = shadowed(self.source) if isinstance(self.source, str) else None
        if note is not None and progress is not None:
            progress.say(note)
        if isinstance(self.source, Corpus):
            return self.source if self.documents is None else _subset(self.source, self.documents, seed)
        return open_corpus(
            self.source,
            text_column=self.text_column,
            encoding=self.encoding,
            documents=self.documents,
            seed=seed,
            data_dir=self.data_dir,
        )


def open_corpus(
    source: str | Path | Sequence[str],
    *,
    text_column: str | None = None,
    encoding: str = UTF_8,
    documents: int | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
) -> Corpus:
    """Open unlabelled text.

    Args:
        source: a file (`.txt`, `.jsonl`, `.csv`, `.tsv`, `.parquet`; text also `.gz`, `.zst`), a folder of
            them, read whole, a glob, `hf://org/name[/config]`, `docs:` for the documentation of the Python
            packages installed here, `wikipedia`, or a list of documents.
        text_column: the column of the text; found by the usual names when None.
        encoding: of files that are text.
        documents: how many to keep, drawn by `seed`; all when None.
        seed: of the draw.
        data_dir: where `wikipedia/` is looked for, else in `TINYLM_DATA`, else on the hub.

    Raises:
        InputError: nothing there, no document in it, a row that cannot be read, no such column, or fewer
            documents than requested.
        MissingExtraError: the format needs the `train` extra.
    """
    _check_documents(documents)
    if isinstance(source, str) and source == WIKIPEDIA:
        source = local_folder(WIKIPEDIA, data_dir) or WIKIPEDIA_HUB
    if isinstance(source, str) and source.startswith(SCHEME):
        return _from_hub(source, text_column, documents, seed)
    corpus = _whole(source, text_column, encoding)
    # A subset counts the documents anyway.
    if documents is None and next(corpus.documents(), None) is None:
        raise _no_document(corpus.name)
    return corpus if documents is None else _subset(corpus, documents, seed)


def _no_document(name: str) -> InputError:
    return InputError(f"{name} holds no document, only blank text; give text to learn from")


def _check_documents(documents: int | None) -> None:
    if documents is not None and documents < 1:
        raise InputError(f"documents={documents} keeps none; ask for at least 1")


def _name(texts: Sequence[str]) -> str:
    return f"{len(texts)} documents"


def _whole(source: str | Path | Sequence[str], text_column: str | None, encoding: str) -> Corpus:
    if isinstance(source, str) and source == DOCS:
        documentation = cached_documentation()
        return Corpus(DOCS, documentation.fingerprint, documentation.texts)
    if isinstance(source, str | Path):
        return _from_files(source, text_column, encoding)
    not_text = next((i for i, text in enumerate(source) if not isinstance(text, str)), None)
    if not_text is not None:
        raise InputError(f"document {not_text} of the list is {type(source[not_text]).__name__}; give strings")
    return Corpus(_name(source), _fingerprint(source), lambda: iter(source))


def _from_files(source: str | Path, text_column: str | None, encoding: str) -> Corpus:
    tables = [open_table(path, encoding, _ENCODING) for path in find_files(source)]
    readers = [_reader(table, text_column) for table in tables]

    def read() -> Iterator[str]:
        return itertools.chain.from_iterable(reader() for reader in readers)

    facts = [*map(_file_fingerprint, tables), str(text_column), *([] if encoding == UTF_8 else [encoding])]
    return Corpus(str(source), _fingerprint(facts), read)


def _reader(table: Table, text_column: str | None) -> Callable[[], Iterator[str]]:
    """What streams the documents of one file; its column is looked up now, so that a wrong name is found early."""
    if isinstance(table, PlainText):
        return partial(plain_documents, table)
    column = find_text_column(str(table.path), table.columns(), text_column, _OPTION)
    return partial(_table_documents, table, column)


def _file_fingerprint(table: Table) -> str:
    """By content, since a copy or a fresh download of the same text is no other corpus, and by format.

    Plain text and parquet cannot be taken for each other, and go without, as they did in earlier versions.
    """
    return file_digest(table.path).hex() + ("" if table.suffix in {".txt", ".parquet"} else table.suffix)


def find_files(source: str | Path) -> list[Path]:
    """The files that `source` stands for, sorted: itself, all supported ones in a folder, or a glob's.

    Raises:
        InputError: there is none.
    """
    if not str(source):
        raise InputError(_EMPTY_NAME)
    path = Path(source)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    else:
        found = [Path(name) for name in glob.glob(str(source), recursive=True) if Path(name).is_file()]  # noqa: PTH207
    files = sorted(file for file in found if is_supported(file))
    if not files:
        known = ", ".join(FORMATS)
        there = "has no file that can be read" if found or path.is_dir() else "is not there"
        raise InputError(f"{source} {there}; give a file, folder or glob of {known}, hf://org/name, or docs:")
    return files


def _table_documents(table: Table, column: str) -> Iterator[str]:
    for number, row in table.rows([column]):
        if column not in row:
            there = ", ".join(map(repr, row))
            raise InputError(f"{table.place(number)} has no {column!r}, only {there}; give every row one")
        if row[column] is not None:
            yield _checked(row[column], table.place(number), column)


def _checked(value: object, place: str, column: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{place}: {column!r} is {type(value).__name__}, not text; name another column with {_OPTION}")
    return value


def _subset(corpus: Corpus, documents: int, seed: int) -> Corpus:
    count = sum(1 for _ in corpus.documents())
    if count == 0:
        raise _no_document(corpus.name)
    if documents > count:
        raise InputError(f"{corpus.name} has {count:,} documents, not {documents:,}; ask for at most {count:,}")
    kept = np.zeros(count, dtype=bool)
    kept[numpy_generator(seed, "subset").permutation(count)[:documents]] = True
    return Corpus(
        f"{corpus.name} ({documents:,} documents, seed {seed})",
        _fingerprint([corpus.fingerprint, f"{documents}/{seed}"]),
        lambda: itertools.compress(corpus.documents(), kept),
    )


def _from_hub(source: str, text_column: str | None, documents: int | None, seed: int) -> Corpus:
    split = open_hub(source)
    if split is None:
        raise InputError(f"{source} has no split `train`; give a data set that has one, or local files")
    column = find_text_column(source, split.columns, text_column, _OPTION)
    corpus = Corpus(
        source if documents is None else f"{source} ({documents:,} documents, seed {seed})",
        _fingerprint([source, split.fingerprint, column, f"{documents}/{seed}"]),
        lambda: _hub_documents(split, column, documents, seed),
    )
    if next(_hub_documents(split, column, None, seed), None) is None:
        raise _no_document(source)
    return corpus


def _hub_documents(split: HubSplit, column: str, documents: int | None, seed: int) -> Iterator[str]:
    shuffle_seed = None if documents is None else derive_seed(seed, "subset") % (1 << 32)
    values = (row[column] for row in split.rows(shuffle_seed))
    texts = (_checked(value, split.source, column) for value in values if value is not None)
    given = 0
    for text in itertools.islice((text for text in texts if text and not text.isspace()), documents):
        given += 1
        yield text
    if documents is not None and given < documents:
        raise InputError(f"{split.source} has {given:,} documents, not {documents:,}; ask for at most {given:,}")


def _fingerprint(facts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for fact in facts:
        encoded = fact.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()
