"""The documentation of the Python packages installed on this machine: real text that is always there.

Docstrings are read from source with `ast`; nothing is imported. A library gives at most `BYTES_PER_LIBRARY`
of source, its files taken in the order of their hashes, so that the largest ones do not take all the time
and the same environment gives the same text. Found once, it is kept in the cache under the names and
versions of the libraries.
"""

import ast
import gc
import gzip
import hashlib
import importlib.metadata
import inspect
import json
import os
import re
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from tinylm.core.cores import usable_cores
from tinylm.core.errors import InputError
from tinylm.core.files import cache_folder, new_folder
from tinylm.core.workers import begin_worker, killed_worker_explained

BYTES_PER_LIBRARY = 8_000_000
SHORTEST = 80
"""Characters; shorter docstrings say little but their function's name."""

_CACHE_FORMAT = 1
_FEW = 8
"""Libraries that are read in less time than processes take to start."""
_SKIPPED_FOLDERS = frozenset({"test", "tests", "testing", "_vendor", "vendor", "_vendored", "third_party", "extern"})
_PROMPT = re.compile(r"^(\s*)(?:>>>|\.\.\.)(?: |$)", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n\s*\n+")


@dataclass(frozen=True)
class Library:
    """One installed distribution.

    Attributes:
        name: as the package index knows it: `scikit-learn`.
        version: the installed one.
        imports: its top-level import names: `("sklearn",)`.
        sources: its Python files.
    """

    name: str
    version: str
    imports: tuple[str, ...]
    sources: tuple[Path, ...]


@dataclass(frozen=True)
class InstalledDocumentation:
    """Docstrings of all installed libraries, in a file of the cache.

    Attributes:
        fingerprint: of the libraries' names and versions.
        file: gzipped lines of `[library, text]`.
    """

    fingerprint: str
    file: Path

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Stream (library, text)."""
        with gzip.open(self.file, "rt", encoding="utf-8") as lines:
            for line in lines:
                library, text = json.loads(line)
                yield library, text

    def texts(self) -> Iterator[str]:
        """Stream the texts alone."""
        return (text for _, text in self.pairs())


def installed_libraries() -> list[Library]:
    """The distributions with Python sources installed here, by name; tinylm itself is left out."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        files = [file for file in distribution.files or () if _is_documentation(PurePosixPath(file))]
        if name and name.lower() != "tinylm" and files and name not in found:
            imports = tuple(sorted({PurePosixPath(file).parts[0].removesuffix(".py") for file in files}))
            sources = tuple(Path(str(distribution.locate_file(file))) for file in files)
            found[name] = Library(name, distribution.version, imports, sources)
    return sorted(found.values(), key=lambda library: library.name.lower())


def installed_documentation(libraries: Iterable[Library] | None = None) -> Generator[tuple[str, str]]:
    """Read docstrings of modules, classes and functions.

    Args:
        libraries: whose; all installed ones when None.

    Yields:
        (library name, text), cleaned of indentation and doctest prompts, at least `SHORTEST` characters each.
    """
    chosen = installed_libraries() if libraries is None else list(libraries)
    for library, texts in zip(chosen, _read_all(chosen), strict=True):
        for text in texts:
            yield library.name, text


def cached_documentation() -> InstalledDocumentation:
    """The documentation of this machine, read the first time and found in the cache after.

    Raises:
        InputError: no installed library has documentation.
    """
    libraries = installed_libraries()
    facts = [_CACHE_FORMAT, BYTES_PER_LIBRARY, [(library.name, library.version) for library in libraries]]
    fingerprint = hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()
    folder = cache_folder() / "docs" / fingerprint
    if not folder.is_dir():
        with new_folder(folder) as temporary:
            written = _write(temporary / "docs.jsonl.gz", installed_documentation(libraries))
            if written == 0:
                raise InputError("docs: found no documented Python package on this machine; give a file or folder")
    return InstalledDocumentation(fingerprint, folder / "docs.jsonl.gz")


def _write(path: Path, pairs: Iterable[tuple[str, str]]) -> int:
    written = 0
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=3) as file:
        for pair in pairs:
            file.write(json.dumps(pair) + "\n")
            written += 1
    return written


def _is_documentation(file: PurePosixPath) -> bool:
    return (
        file.suffix == ".py"
        and not file.parts[0].startswith(("..", "__", "_"))
        and not _SKIPPED_FOLDERS.intersection(file.parts[:-1])
        and not file.name.startswith("test_")
    )


def _read_all(libraries: Sequence[Library]) -> Iterator[list[str]]:
    """The texts of each library, on all cores where the extra that trains is installed."""
    cores = usable_cores()
    if cores == 1 or len(libraries) <= _FEW or find_spec("loky") is None:
        yield from map(_read, libraries)
        return
    from loky import ProcessPoolExecutor  # noqa: PLC0415

    pool = ProcessPoolExecutor(cores, initializer=begin_worker, initargs=(os.getpid(),))
    try:
        # `map` would cancel what is left when it is closed, and a cancelled job is one that loky stumbles over.
        with _killed_reader_explained():
            futures = [pool.submit(_read, library) for library in libraries]
        for future in futures:
            with _killed_reader_explained():
                texts = future.result()
            yield texts
    finally:
        pool.shutdown(kill_workers=True)


def _killed_reader_explained() -> AbstractContextManager[None]:
    return killed_worker_explained("reading documentation", "start again")


def _read(library: Library) -> list[str]:
    return [text for path in _sample(library) for text in _docstrings(path)]


def _sample(library: Library) -> Iterator[Path]:
    taken = 0
    for path in sorted(
        library.sources,
        key=lambda path: hashlib.blake2b(path.name.encode() + path.parent.name.encode()).digest(),
    ):
        try:
            taken += path.stat().st_size
        except OSError:
            # A file that the record names and an installer left out is no fault of the user's.
            continue
        if taken > BYTES_PER_LIBRARY:
            return
        yield path


def _docstrings(path: Path) -> list[str]:
    source = path.read_text(encoding="utf-8", errors="replace")
    if '"""' not in source and "'''" not in source:
        return []
    with warnings.catch_warnings(), _no_garbage_collection():
        warnings.simplefilter("ignore", SyntaxWarning)
        return list(_parsed(source))


def _parsed(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        # Packages ship templates and code of other Python versions: no documentation that can be read.
        return
    for node in _documented(tree):
        text = ast.get_docstring(node, clean=False)
        if text and len(text) >= SHORTEST and len(cleaned := clean(text)) >= SHORTEST:
            yield cleaned


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """For syntax trees, which have no cycles, and so many nodes that looking for some takes longer than parsing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _documented(
    tree: ast.Module,
) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    # Bodies of functions are not entered: what is documented inside them is nobody's documentation.
    waiting: list[ast.Module | ast.ClassDef] = [tree]
    while waiting:
        scope = waiting.pop()
        yield scope
        for node in scope.body:
            if isinstance(node, ast.ClassDef):
                waiting.append(node)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def clean(docstring: str) -> str:
    """A docstring as text: indentation and doctest prompts gone, runs of blank lines joined."""
    return _BLANK_LINES.sub("\n\n", _PROMPT.sub(r"\1", inspect.cleandoc(docstring))).strip()
