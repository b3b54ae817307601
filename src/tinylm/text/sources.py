"""Labelled text: files, hub data sets, and AG News, DBPedia and FewRel by name, sampled as in the paper."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from cyclopts import Parameter

from tinylm.core.errors import InputError
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS, ProblemType
from tinylm.text.by_time import latest_rows
from tinylm.text.fewrel import read_fewrel
from tinylm.text.formats import is_supported, plain_suffix
from tinylm.text.hub import SCHEME, open_hub
from tinylm.text.known import DATA_SETS, Parts, as_written, lasting, shadowed
from tinylm.text.labelled import LabelledRows, label_names, labelled_from_hub, read_labelled
from tinylm.text.lines import UTF_8, require_encoding
from tinylm.text.rare import Rare, settle_rare
from tinylm.text.row_columns import NONE, RowColumns, require_comparable
from tinylm.text.several import BY_ITSELF, LabelForm
from tinylm.text.splits import (
    Examples,
    Labels,
    Task,
    choose_groups_nearest,
    choose_whole_groups,
    held_out_shares,
    joined_groups,
    sample_per_label,
    task_fingerprint,
)
from tinylm.text.stratify import held_out_of_several

TEST_FRACTION = 0.2
"""Of a source without a test part, stratified."""


_PART = re.compile(r"(train|test)\b|(train|test)[-_]", re.IGNORECASE)


def load_task(
    source: str | Path,
    *,
    test: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    weight_column: str | None = None,
    time_column: str | None = None,
    encoding: str = UTF_8,
    rare: Rare = "keep",
    label_separator: str | None = None,
    label_columns: str | None = None,
    data_dir: str | Path | None = None,
    train_per_label: int | None = None,
    test_per_label: int | None = None,
    seed: int = 0,
) -> Task:
    """Load labelled text.

    Args:
        source: a file (csv, tsv, jsonl, parquet, xlsx, fastText `.txt`, FewRel `.json`), a folder with `train.*`
            and `test.*`, `hf://org/name[/config]`, or a name: `ag_news`, `dbpedia_14`, `fewrel`,
            `fewrel-marked`.
        test: the file of the test part; without one, and without a test part in `source`, a fifth of each
            label is held out, and rows of the same text are kept on one side.
        text_column: found by the usual names when None.
        label_column: found by the usual names when None.
        group_column: rows with the same value in it come from one source, and stay on one side of every split.
        weight_column: how much each row counts in training; all alike when None.
        time_column: numbers, or dates by ISO 8601; the latest fifth of the rows is the test part.
        encoding: of files that are text.
        rare: what becomes of a label with one training row: `keep` learns it and holds nothing of it out, `drop`
            leaves it out, `error` refuses it.
        label_separator: what stands between the labels of a text in the label column, such as `|`: a text may then
            have several, or none, as it may where that column holds lists, or a line more than one `__label__`.
        label_columns: columns of 0 and 1, a label each, in place of a label column: `"politics,sports"`.
        data_dir: where names are looked for, else in `TINYLM_DATA`, else on the hub.
        train_per_label: rows of each label to train on; all when None, and the paper's number for the names.
        test_per_label: rows of each label to test on, likewise; where tinylm does the split, at most half of them.
        seed: of the split and the sample.

    Raises:
        InputError: nothing there, a malformed row, a single label, no label with two training rows, or a label
            in the test part that training does not have.
        MissingExtraError: the format needs the `train` or the `tables` extra.
    """
    source = as_written(source)
    known = DATA_SETS.get(source)
    if known is not None:
        text_column = known.text_column if text_column is None else text_column
        label_column = known.label_column if label_column is None else label_column
        train_per_label = known.train_per_label if train_per_label is None else train_per_label
        test_per_label = known.test_per_label if test_per_label is None else test_per_label
    _check_sample(train_per_label, test_per_label)
    further = RowColumns(group_column, weight_column, time_column)
    form = LabelForm.of(label_separator, label_columns)
    train_rows, test_rows = _read(source, text_column, label_column, data_dir, further, encoding, form)
    if test is not None:
        test_rows = read_labelled([Path(test)], text_column, label_column, encoding=encoding, form=form)
    _require_all(train_rows, form)
    if time_column is not None and test_rows is not None:
        raise InputError(
            f"{source} has a test part, and time_column {time_column!r} would make one; leave one of them out"
        )
    if train_rows.times and time_column is not None:
        require_comparable(train_rows.times, time_column, train_rows.places)
    task = _build(
        source,
        train_rows,
        test_rows,
        train_per_label=train_per_label,
        test_per_label=test_per_label,
        rare=rare,
        seed=seed,
    )
    note = shadowed(source)
    return task if note is None else replace(task, notes=(note, *task.notes))


@dataclass(frozen=True)
class TaskSource:
    """Where labelled text comes from, and how it is read; see `load_task`."""

    source: Annotated[str, Parameter(name="task")]
    """A file, a folder, `hf://org/name[/config]`, or a name such as `ag_news`. A name means the data set of that
    name; a folder that has the same name is written `./ag_news`."""
    _: KW_ONLY
    test: str | None = None
    """The file of the test part."""
    text_column: str | None = None
    """Found by the usual names when None."""
    label_column: str | None = None
    """Found by the usual names when None."""
    group_column: str | None = None
    """Rows with the same value in it, such as a customer, stay on one side of every split."""
    weight_column: str | None = None
    """Numbers: how much each row counts in training."""
    time_column: str | None = None
    """Dates, such as 2024-03-31, or numbers: the latest fifth of the rows is the test part."""
    encoding: str = UTF_8
    """Of files that are text, such as cp1252 or utf-16."""
    rare: Rare = "keep"
    """What becomes of a label with one training row: learn it and hold nothing of it out, drop it, or refuse it."""
    label_separator: str | None = None
    """What stands between the labels of a text in the label column, such as `|`, where it may have several or none."""
    label_columns: str | None = None
    """Columns of 0 and 1, a label each, with commas between their names, in place of a label column."""
    train_per_label: int | None = None
    """Training rows of each label, at least 2; all when None, and the paper's number for the names."""
    test_per_label: int | None = None
    """Test rows of each label, at least 1; likewise."""
    data_dir: str | None = None
    """Folder where names are looked for; when None, that of `TINYLM_DATA`, else the hub."""

    def __post_init__(self) -> None:
        _check_sample(self.train_per_label, self.test_per_label)
        require_encoding(self.encoding)
        LabelForm.of(self.label_separator, self.label_columns)
        object.__setattr__(self, "source", as_written(self.source))

    def load(self, seed: int) -> Task:
        """Read it; `seed` draws the split and the sample.

        Raises:
            InputError: as `load_task`.
        """
        return replace(load_task(**asdict(self), seed=seed), source=self.record())

    def record(self) -> dict[str, Any]:
        """The fields as JSON, with paths that hold from any folder; `from_record` reads it."""
        paths = {name: str(Path(path).absolute()) for name in ("test", "data_dir") if (path := getattr(self, name))}
        return asdict(self) | paths | {"source": lasting(self.source)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], data_dir: str | Path | None = None) -> "TaskSource":
        """A recorded source again.

        Args:
            record: as `record` gave it; `data_dir` may be missing, as in models written before it was recorded.
            data_dir: where names are looked for now; the recorded folder when None, if it is still there.
        """
        source = cls(**record)
        if data_dir is None and source.data_dir is not None and Path(source.data_dir).is_dir():
            return source
        return replace(source, data_dir=None if data_dir is None else str(data_dir))


def load_examples(
    source: str | Path,
    labels: tuple[str, ...],
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str = UTF_8,
    *,
    form: LabelForm = BY_ITSELF,
    problem_type: ProblemType = ONE_LABEL,
) -> Examples:
    """Load a file of labelled text whole, for a model that has labels already.

    Args:
        source: a file, as in `load_task`.
        labels: the labels of the model.
        text_column: found by the usual names when None.
        label_column: found by the usual names when None.
        encoding: of files that are text.
        form: how several labels a text are written.
        problem_type: of the model.

    Raises:
        InputError: a malformed row, a label that is not one of `labels`, or several labels a text where the model gives
            one.
    """
    rows, _ = _read(as_written(source), text_column, label_column, None, NONE, encoding, form)
    if rows.several and problem_type != SEVERAL_LABELS:
        raise InputError(f"{rows.source} has several labels a text, and the model gives one; give one label a text")
    position = {label: index for index, label in enumerate(labels)}
    _check_known(rows, position, "the model does not know; use the labels it was trained on")
    return _examples(rows, position, several=problem_type == SEVERAL_LABELS)


def _check_sample(train_per_label: int | None, test_per_label: int | None) -> None:
    if train_per_label is not None and train_per_label < 2:
        raise InputError(f"train_per_label={train_per_label} is too few to train and validate; ask for at least 2")
    if test_per_label is not None and test_per_label < 1:
        raise InputError(f"test_per_label={test_per_label} tests nothing; ask for at least 1")


def _read(
    source: str,
    text: str | None,
    label: str | None,
    data_dir: str | Path | None,
    further: RowColumns,
    encoding: str,
    form: LabelForm,
) -> Parts:
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
        None if test is None else labelled_from_hub(test, text, label, form=form),
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
        read_labelled(parts["test"], text, label, encoding=encoding, form=form) if parts["test"] else None,
    )


def _build(
    name: str,
    train_rows: LabelledRows,
    test_rows: LabelledRows | None,
    *,
    train_per_label: int | None,
    test_per_label: int | None,
    rare: Rare,
    seed: int,
) -> Task:
    several = train_rows.several or (test_rows is not None and test_rows.several)
    labels = _two_or_more(train_rows, several=several)
    position = {label: index for index, label in enumerate(labels)}
    notes = []
    if several and (train_per_label or test_per_label):
        raise InputError(
            f"{train_rows.source} has several labels a text, and train_per_label and test_per_label draw texts of one; "
            "leave them out"
        )
    if several and rare != "keep":
        raise InputError(f"{train_rows.source} has several labels a text, of which rare ones are kept; leave rare out")
    train = _examples(train_rows, position, several=several)
    if test_rows is not None:
        _check_known(test_rows, position, "no training row has; add training rows or remove it")
        test = _examples(test_rows, position, several=several)
    elif train_rows.times:
        earlier, later = latest_rows(
            train_rows.source, train_rows.times, train.groups or train_rows.groups, TEST_FRACTION
        )
        train, test = train.take(np.flatnonzero(earlier)), train.take(np.flatnonzero(later))
        left_out = len(train_rows.texts) - len(train) - len(test)
        notes.append(f"{train_rows.source} has no test part: the latest {len(test):,} rows are held out as one.")
        if left_out:
            notes.append(f"{left_out:,} later rows that share a text or group with an earlier one are left out.")
    else:
        held = _held_out(train, train_rows, test_per_label, seed)
        train, test = train.take(np.flatnonzero(~held)), train.take(np.flatnonzero(held))
        what = f"{TEST_FRACTION:.0%} of each label" if test_per_label is None else f"{test_per_label} rows a label"
        both = "text" if train.groups is None else "text or group"
        notes.append(f"{train_rows.source} has no test part: {what} held out as one, no {both} on both sides.")
    if several:
        notes += _rare(labels, train)
        return Task(name, labels, train, test, task_fingerprint(labels, train, test), tuple(notes))
    train = train.take(sample_per_label(train.labels, train_per_label, seed, "train"))
    test = test.take(sample_per_label(test.labels, test_per_label, seed, "test"))
    labels, train, test, settled = settle_rare(train_rows.source, labels, train, test, rare)
    notes += settled
    notes += _shortfalls(labels, train.labels, train_per_label, "training")
    notes += _shortfalls(labels, test.labels, test_per_label or 1, "test")
    return Task(name, labels, train, test, task_fingerprint(labels, train, test), tuple(notes))


def task_of_rows(rows: LabelledRows, name: str) -> Task:
    """A task of rows that are all trained on; it has no test part.

    Raises:
        InputError: a single label, or no label with two rows.
    """
    labels = _two_or_more(rows, several=rows.several)
    position = {label: index for index, label in enumerate(labels)}
    train = _examples(rows, position, several=rows.several)
    test = _examples(LabelledRows(rows.source), position, several=rows.several)
    if rows.several:
        notes = _rare(labels, train)
    else:
        labels, train, test, notes = settle_rare(rows.source, labels, train, test, "keep")
    return Task(name, labels, train, test, task_fingerprint(labels, train, test), tuple(notes))


def _held_out(train: Examples, rows: LabelledRows, test_per_label: int | None, seed: int) -> npt.NDArray[np.bool_]:
    """Which rows become the test part: (n,)."""
    if train.problem_type == SEVERAL_LABELS:
        return held_out_of_several(train.labels, train.groups or rows.groups, TEST_FRACTION, seed)
    shares = held_out_shares(train.labels, TEST_FRACTION)
    if test_per_label is not None:
        counts = Counter(train.labels.tolist())
        shares = {label: min(test_per_label, counts[label] // 2) for label in counts}
    if train.groups is None:
        return choose_whole_groups(train.labels, rows.groups, shares, seed)
    return choose_groups_nearest(train.labels, train.groups, shares, seed)


def _examples(rows: LabelledRows, position: Mapping[str, int], *, several: bool) -> Examples:
    if several:
        numbers = np.zeros((len(rows.texts), len(position)), dtype=np.int64)
        for row, labels in enumerate(rows.label_sets):
            numbers[row, [position[label] for label in labels]] = 1
    else:
        rows.require_labels()
        numbers = np.array([position[label] for (label,) in rows.label_sets], dtype=np.int64)
    return Examples(
        tuple(rows.texts),
        numbers,
        np.array(rows.weights, dtype=np.float64) if rows.weights else None,
        joined_groups(rows.groups, rows.sources) if rows.sources else None,
    )


def _two_or_more(rows: LabelledRows, *, several: bool) -> tuple[str, ...]:
    """The names of the labels."""
    if not several:
        rows.require_labels()
    labels = label_names(label for labels in rows.label_sets for label in labels)
    if not labels:
        raise InputError(f"{rows.source} has no label in any row; there is nothing to learn")
    if len(labels) == 1:
        raise InputError(f"{rows.source} has one label only, {labels[0]!r}; there is nothing to tell apart")
    return labels


def _require_all(rows: LabelledRows, form: LabelForm) -> None:
    there = {label for labels in rows.label_sets for label in labels} if form.columns else set(form.columns)
    absent = next((column for column in form.columns if column not in there), None)
    if absent is not None:
        raise InputError(f"{rows.source} has 1 in no row of {absent!r}; leave that column out of --label-columns")


def _rare(labels: tuple[str, ...], train: Examples) -> list[str]:
    """A sentence on labels of which nothing can be held out, or nothing is left to learn from."""
    counts = train.labels.sum(axis=0)
    rare = [f"{label} {count}" for label, count in zip(labels, counts.tolist(), strict=True) if count < 2]
    return (
        [f"Labels with fewer than 2 training rows, of which little can be learnt: {', '.join(rare)}."] if rare else []
    )


def _check_known(rows: LabelledRows, position: Mapping[str, int], complaint: str) -> None:
    for labels, place in zip(rows.label_sets, rows.places, strict=True):
        unknown = next((label for label in labels if label not in position), None)
        if unknown is not None:
            raise InputError(f"{place} has the label {unknown!r}, which {complaint}")


def _shortfalls(labels: tuple[str, ...], rows: Labels, per_label: int | None, part: str) -> list[str]:
    counts = np.bincount(rows, minlength=len(labels))
    short = [f"{label} {count}" for label, count in zip(labels, counts, strict=True) if count < (per_label or 0)]
    return [f"Fewer than {per_label} {part} rows: {', '.join(short)}."] if short else []
