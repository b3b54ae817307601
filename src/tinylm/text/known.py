"""Data sets known by name: where each is, its columns, the paper's sample of it, and the reader of its format.

A name is looked for in the folder of `--data-dir`, else of `TINYLM_DATA`, else on the hub. It always means the data
set; a file or folder that has the same name is written as a path, `./ag_news`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinylm.core.errors import InputError
from tinylm.text.fewrel import read_fewrel_folder
from tinylm.text.hub import SCHEME
from tinylm.text.labelled import LabelledRows

VARIABLE = "TINYLM_DATA"
"""Environment variable with the folder of the data sets."""

WIKIPEDIA = "wikipedia"
WIKIPEDIA_HUB = "hf://wikimedia/wikipedia/20231101.en"
DOCS = "docs:"
CORPORA = (WIKIPEDIA, DOCS)
"""Names of unlabelled text."""

Parts = tuple[LabelledRows, LabelledRows | None]
"""Training rows, and test rows where the data set has them."""


@dataclass(frozen=True)
class KnownDataSet:
    """Labelled text known by name."""

    name: str
    hub: str | None = None
    """Where it is read from when it is not on this machine: `hf://org/name`."""
    text_column: str | None = None
    label_column: str | None = None
    train_per_label: int | None = None
    """Training rows a label of the sample in the paper (arXiv 2507.14871); all when None."""
    test_per_label: int | None = None
    folder: str | None = None
    """Its folder in the data folder; `name` when None."""
    reader: Callable[[Path | None], Parts] | None = None
    """Reads a format of its own, given its folder, or None where it is not on this machine (the reader then
    downloads it). Without a reader the folder holds `train.*` and `test.*`."""

    def local_folder(self, data_dir: str | Path | None) -> Path | None:
        """Its folder on this machine; see `local_folder`."""
        return local_folder(self.folder or self.name, data_dir)


DATA_SETS = {
    data_set.name: data_set
    for data_set in (
        KnownDataSet("ag_news", "hf://fancyzhx/ag_news", "text", "label", 1000, 1000),
        KnownDataSet("dbpedia_14", "hf://fancyzhx/dbpedia_14", "content", "label", 100, 100),
        KnownDataSet("fewrel", train_per_label=630, test_per_label=70, reader=read_fewrel_folder),
        KnownDataSet(
            "fewrel-marked",
            folder="fewrel",
            train_per_label=630,
            test_per_label=70,
            reader=lambda folder: read_fewrel_folder(folder, marked=True),
        ),
    )
}
"""By name; a data set is added by an entry."""


def local_folder(name: str, data_dir: str | Path | None) -> Path | None:
    """The folder `name` in `data_dir`, else in the folder that `TINYLM_DATA` names.

    Returns:
        The folder, or None where no `data_dir` is given and `TINYLM_DATA` is unset or lacks it.

    Raises:
        InputError: `data_dir` is given and lacks it.
    """
    if data_dir is not None:
        folder = Path(data_dir) / name
        if not folder.is_dir():
            raise InputError(f"{folder} is not there; put {name} into it, or leave --data-dir out to fetch it")
        return folder
    root = os.environ.get(VARIABLE)
    if not root:
        return None
    folder = Path(root) / name
    return folder if folder.is_dir() else None


def is_name(source: str) -> bool:
    """Whether `source` is a name, which wins over a file or folder of that name."""
    return source in DATA_SETS or source in CORPORA


def as_written(source: str | Path) -> str:
    """`source` as text; a `Path` is always a path, also where it reads like a name (`Path("./ag_news")`)."""
    if isinstance(source, Path) and is_name(str(source)):
        return f".{os.sep}{source}"
    return str(source)


def lasting(source: str) -> str:
    """`source` as a record keeps it: names and hub addresses as they are, paths so that they hold from any folder."""
    if is_name(source):
        return source
    if source.startswith(SCHEME):
        folder = Path(source.removeprefix(SCHEME))
        return f"{SCHEME}{folder.absolute()}" if folder.is_dir() else source
    return str(Path(source).absolute())


def shadowed(source: str) -> str | None:
    """A sentence where `source` is a name and a file or folder here has that name too; else None."""
    if is_name(source) and Path(source).exists():
        return f"{source} is the data set of that name; the path {source} of this folder is written ./{source}."
    return None
