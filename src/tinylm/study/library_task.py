"""The demo's data, found on any machine: which Python library does this documentation belong to?

Texts of the task have the libraries' names replaced, so that their content decides. Pre-training reads the
documentation that is not in the task, names included, of every installed library.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from tinylm.core.errors import InputError
from tinylm.core.seeds import numpy_generator
from tinylm.text.corpus import Corpus
from tinylm.text.python_docs import InstalledDocumentation, Library, cached_documentation, installed_libraries
from tinylm.text.splits import Examples, Labels, Task, task_fingerprint

NEUTRAL = "library"
"""Replaces the name of a library."""

_ALIASES = {
    "altair": ("alt",),
    "jax": ("jnp",),
    "matplotlib": ("plt", "mpl", "pyplot"),
    "networkx": ("nx",),
    "numpy": ("np", "ndarray"),
    "pandas": ("pd",),
    "polars": ("pl",),
    "pyarrow": ("pa", "arrow"),
    "scikit-learn": ("sk", "scikit"),
    "scipy": ("sp",),
    "seaborn": ("sns",),
    "tensorflow": ("tf",),
    "torch": ("pytorch", "aten"),
}
_SHORT = 3
"""Names up to this many letters are replaced as whole words only; longer ones wherever they occur."""


def library_task(
    libraries: int = 12, train_per_label: int = 20, test_per_label: int = 100, seed: int = 0
) -> tuple[Corpus, Task]:
    """Make a corpus and a task of the documentation installed on this machine.

    Args:
        libraries: how many labels: those with the most documents.
        train_per_label: training rows a label.
        test_per_label: test rows a label.
        seed: of the draw.

    Returns:
        The documents outside the task, and the task.

    Raises:
        InputError: fewer than two libraries have enough documents.
    """
    documentation = cached_documentation()
    wanted = train_per_label + test_per_label
    texts = _distinct_texts(documentation)
    enough = sorted((name for name in texts if len(texts[name]) >= wanted), key=lambda name: (-len(texts[name]), name))
    labels = tuple(sorted(enough[:libraries], key=str.lower))
    if len(labels) < 2:
        raise InputError(
            f"{len(labels)} installed libraries have {wanted} documented functions, and a task needs 2; "
            "request fewer rows a label or install more packages"
        )
    pattern = name_pattern([library for library in installed_libraries() if library.name in labels])
    drawn = _draw(texts, labels, wanted, pattern, seed)
    train = _examples([list(masked)[:train_per_label] for masked in drawn])
    test = _examples([list(masked)[train_per_label:] for masked in drawn])
    in_task = frozenset(text for masked in drawn for text in masked.values())
    fingerprint = task_fingerprint(labels, train, test)
    notes = [f"Documentation of {len(labels)} installed libraries, their names replaced by {NEUTRAL!r}."]
    if len(labels) < libraries:
        notes.append(f"{libraries} were requested; no others have {wanted} documents.")
    short = [f"{name} {len(masked)}" for name, masked in zip(labels, drawn, strict=True) if len(masked) < wanted]
    if short:
        notes.append(f"Fewer than {wanted} texts that differ without the names: {', '.join(short)}.")
    return (
        Corpus(
            f"documentation of this machine outside the task (seed {seed})",
            f"{documentation.fingerprint}{fingerprint}",
            lambda: (text for text in documentation.texts() if text not in in_task),
        ),
        Task("libraries", labels, train, test, fingerprint, tuple(notes)),
    )


def name_pattern(libraries: Sequence[Library]) -> re.Pattern[str]:
    """Pattern of the names of libraries: of each its name, its import names and its usual aliases, in any letter case.

    Long names match inside identifiers and words too (`is_torch_tensor`); short ones such as `np` only
    where no letter or digit stands beside them.
    """
    names = {name.lower() for library in libraries for name in _names(library)}
    long = sorted((re.escape(name) for name in names if len(name) > _SHORT), key=lambda name: (-len(name), name))
    short = sorted(re.escape(name) for name in names if len(name) <= _SHORT)
    words = [rf"(?<![^\W_])(?:{'|'.join(short)})(?![^\W_])"] if short else []
    return re.compile("|".join(long + words), re.IGNORECASE)


def _names(library: Library) -> Iterator[str]:
    for name in (library.name, *library.imports):
        words = re.split(r"[-_.]", name)
        yield from (joint.join(words) for joint in ("-", "_", ".", " ", ""))
    yield from _ALIASES.get(library.name.lower(), ())


def _distinct_texts(documentation: InstalledDocumentation) -> dict[str, list[str]]:
    """Texts by library; one that several libraries have is left out."""
    owner: dict[str, str | None] = {}
    for library, text in documentation.pairs():
        owner[text] = library if owner.get(text, library) == library else None
    texts = defaultdict(list)
    for text, library_or_none in owner.items():
        if library_or_none is not None:
            texts[library_or_none].append(text)
    return texts


def _draw(
    texts: dict[str, list[str]], labels: Sequence[str], wanted: int, pattern: re.Pattern[str], seed: int
) -> list[dict[str, str]]:
    """For each label, `wanted` masked texts with what they were; none occurs twice once the names are gone."""
    drawn: list[dict[str, str]] = []
    seen: set[str] = set()
    for index, name in enumerate(labels):
        of_label: dict[str, str] = {}
        for position in numpy_generator(seed, "library-task", index).permutation(len(texts[name])):
            masked = pattern.sub(NEUTRAL, texts[name][position])
            if masked not in seen:
                seen.add(masked)
                of_label[masked] = texts[name][position]
            if len(of_label) == wanted:
                break
        drawn.append(of_label)
    return drawn


def _examples(by_label: Sequence[Sequence[str]]) -> Examples:
    labels: Labels = np.repeat(np.arange(len(by_label)), [len(texts) for texts in by_label])
    return Examples(tuple(text for texts in by_label for text in texts), labels)
