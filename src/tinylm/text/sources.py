"""Labelled text: files, hub data sets, and AG News, DBPedia and FewRel by name, sampled as in the paper."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tinylm.core.errors import InputError
from tinylm.core.problems import ONE_LABEL, ProblemType
from tinylm.text.known import DATA_SETS, as_written, lasting, shadowed
from tinylm.text.labelled import LabelledRows, read_labelled
from tinylm.text.lines import UTF_8, require_encoding
from tinylm.text.parts import read_parts
from tinylm.text.rare import Rare
from tinylm.text.row_columns import RowColumns, require_comparable
from tinylm.text.several import BY_ITSELF, LabelForm
from tinylm.text.splits import (
    Examples,
    Task,
)
from tinylm.text.tasks import build_task, examples_for


def load_task(
    source: str | Path,
    *,
    test: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    weight_column: str | None = None,
    time_column: str | None = None,
    entities: str | None = None,
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
        entities: a column that says where entities stand in the text, `[[start, end], ...]` in characters from 0, also
            as JSON; they are marked as `mark_entities` does.
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
    further = RowColumns(group_column, weight_column, time_column, entities)
    form = LabelForm.of(label_separator, label_columns)
    train_rows, test_rows = read_parts(source, text_column, label_column, data_dir, further, encoding, form)
    if test is not None:
        test_rows = read_labelled([Path(test)], text_column, label_column, further.of_test_rows, encoding, form)
    _require_all(train_rows, form)
    if time_column is not None and test_rows is not None:
        raise InputError(
            f"{source} has a test part, and time_column {time_column!r} would make one; leave one of them out"
        )
    if train_rows.times and time_column is not None:
        require_comparable(train_rows.times, time_column, train_rows.places)
    task = build_task(
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
    entities: str | None = None
    """A column of the entities of a text, [[start, end], ...] in characters from 0, which are marked in it."""
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
    entities: str | None = None,
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
        entities: column of the entities that are marked in the text.
        form: how several labels a text are written.
        problem_type: of the model.

    Raises:
        InputError: a malformed row, a label that is not one of `labels`, or several labels a text where the model gives
            one.
    """
    rows, _ = read_parts(
        as_written(source), text_column, label_column, None, RowColumns(entities=entities), encoding, form
    )
    return examples_for(rows, labels, problem_type)


def _check_sample(train_per_label: int | None, test_per_label: int | None) -> None:
    if train_per_label is not None and train_per_label < 2:
        raise InputError(f"train_per_label={train_per_label} is too few to train and validate; ask for at least 2")
    if test_per_label is not None and test_per_label < 1:
        raise InputError(f"test_per_label={test_per_label} tests nothing; ask for at least 1")


def _require_all(rows: LabelledRows, form: LabelForm) -> None:
    there = {label for labels in rows.label_sets for label in labels} if form.columns else set(form.columns)
    absent = next((column for column in form.columns if column not in there), None)
    if absent is not None:
        raise InputError(f"{rows.source} has 1 in no row of {absent!r}; leave that column out of --label-columns")
