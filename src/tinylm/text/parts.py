"""Where labelled rows are: a file, a folder with parts, the hub, or a data set known by name."""

import re
from pathlib import Path

from tinylm.core.errors import InputError
from tinylm.text.fewrel import read_fewrel
from tinylm.text.formats import is_supported, plain_suffix
from tinylm.text.hub import SCHEME, open_hub
from tinylm.text.known import DATA_SETS, Parts
from tinylm.text.labelled import labelled_from_hub, read_labelled
from tinylm.text.row_columns import RowColumns
from tinylm.text.several import LabelForm

_PART = re.compile(r"(train|test)\b|(train|test)[-_]", re.IGNORECASE)


def read_parts(
    source: str,
    text: str | None,
    label: str | None,
    data_dir: str | Path | None,
    further: RowColumns,
    encoding: str,
    form: LabelForm,
) -> Parts:
    """The rows of the training part and of the test part, which is None where there is none; see `load_task`.

    Args:
        source: a file, a folder, `hf://org/name[/config]`, or a name.
        text: the column of the text; found by the usual names when None.
        label: the column of the label, likewise.
        data_dir: where names are looked for, else in `TINYLM_DATA`, else on the hub.
        further: other columns that are read of training rows, of which those of entities are read of test rows too.
        encoding: of files that are text.
        form: how several labels a text are written.
    """
    known = DATA_SETS.get(source)
    if known is not None:
        folder = known.local_folder(data_dir)
        if known.reader is not None:
            further.require(source, ("text", "label"))
            return known.reader(folder)
        if folder is None and known.hub is None:
            raise InputError(f"{source} is not on this machine; give the folder that holds it as --data-dir")
        source = known.hub or "" if folder is None else str(folder)
    if source.startswith(SCHEME):
        return _read_hub(source, text, label, further, form)
    path = Path(source)
    if path.is_dir():
        return _read_folder(path, text, label, further, encoding, form)
    if not path.is_file():
        names = ", ".join(DATA_SETS)
        raise InputError(f"{path} is not there; give a file or folder, hf://org/name, or one of {names}")
    if plain_suffix(path) == ".json":
        further.require(source, ("text", "label"))
        return read_fewrel(path, marked=False), None
    return read_labelled([path], text, label, further, encoding, form), None


def _read_hub(name: str, text: str | None, label: str | None, further: RowColumns, form: LabelForm) -> Parts:
    train, test = open_hub(name, "train"), open_hub(name, "test")
    if train is None:
        raise InputError(f"{name} has no split `train`; give a data set that has one, or local files")
    return (
        labelled_from_hub(train, text, label, further, form),
        None if test is None else labelled_from_hub(test, text, label, further.of_test_rows, form),
    )


def _read_folder(
    folder: Path, text: str | None, label: str | None, further: RowColumns, encoding: str, form: LabelForm
) -> Parts:
    parts: dict[str, list[Path]] = {"train": [], "test": []}
    for path in sorted(folder.iterdir()):
        part = _PART.match(path.name)
        if part and path.is_file() and is_supported(path):
            parts[(part[1] or part[2]).lower()].append(path)
    if not parts["train"]:
        raise InputError(f"{folder} has no train.csv, .tsv, .jsonl, .parquet or .txt; name the file that is to be read")
    return (
        read_labelled(parts["train"], text, label, further, encoding, form),
        read_labelled(parts["test"], text, label, further.of_test_rows, encoding, form) if parts["test"] else None,
    )
