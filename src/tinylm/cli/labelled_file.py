"""What `tinylm predict` labels: texts as they come, or those of a file, on all cores, printed or written as a table."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tinylm.core.errors import InputError
from tinylm.core.runs import read_record
from tinylm.runtime.predictions import LabelsPrediction, Prediction
from tinylm.text.columns import named_column
from tinylm.text.formats import open_table
from tinylm.text.labelled import column_to_label, texts_with_rows
from tinylm.text.lines import ENCODING, require_encoding
from tinylm.text.tables import Table
from tinylm.text.written import new_table, require_writable

if TYPE_CHECKING:
    from tinylm.runtime.classifier import Classifier

_ADDED = ("label", "probability", "disagreement")
_DIGITS = 6
"""Of probabilities and disagreement in a table."""


def label_texts(
    model: Path, blocks: Iterable[Sequence[str]], err: Console
) -> "Iterator[tuple[str, Prediction | LabelsPrediction]]":
    """Label texts as they come; `err` receives how many of them are not read whole."""
    from tinylm.runtime.loading import load

    committee = load(model)
    read, truncated = 0, 0
    for block in blocks:
        for text, prediction in zip(block, committee.predictions(block), strict=True):
            yield text, prediction
            read, truncated = read + 1, truncated + prediction.truncated
    say_not_read(committee, truncated, read, err)


def say_not_read(committee: "Classifier", truncated: int, texts: int, err: Console) -> None:
    """Say that so many of the texts are longer than what is read of them, where any is."""
    sentence = committee.not_read(truncated, texts)
    if sentence:
        err.print(sentence)


def label_file(
    model: Path,
    file: Path,
    output: Path | None,
    *,
    text_column: str | None,
    entities: str | None,
    encoding: str,
    err: Console,
) -> "Iterator[tuple[str, Prediction | LabelsPrediction]]":
    """Label the texts of a file.

    Args:
        model: folder of a trained model.
        file: the texts.
        output: the table to write; nothing is yielded then.
        text_column: found by the usual names when None.
        entities: column of the entities that are marked in the text.
        encoding: of a file that is text.
        err: receives what was written, and how many texts are not read whole.

    Yields:
        Each text with its prediction, in the order of the file.

    Raises:
        InputError: the file cannot be read, or the table cannot be written.
    """
    require_encoding(encoding)
    # None where the model learnt from labels in memory, as the demo's does.
    source = read_record(model).get("task_source") or {}
    if entities is None and source.get("entities"):
        err.print(f"warning: {model} was trained on texts with entities marked; name their column with --entities")
    if output is not None:
        require_writable(output)
    table = open_table(file, encoding, ENCODING)
    column = column_to_label(table, text_column)
    if entities is not None:
        named_column(str(file), table.columns(), entities, "--entities")
    if output is None:
        columns = [column] if entities is None else [column, entities]
        predicted = _predicted(model, texts_with_rows(table, column, columns, entities), err)
        yield from ((text, prediction) for text, _, prediction in predicted)
        return
    names = _names(table)
    predicted = _predicted(model, texts_with_rows(table, column, None, entities), err)
    rows = (_labelled(record, names, prediction) for _, record, prediction in predicted)
    count = 0
    with new_table(output, [*table.columns(), *names], table) as write:
        while block := list(islice(rows, 1000)):
            count += len(block)
            write(block)
    renamed = ", ".join(name for name in names if name not in _ADDED)
    beside = f"; added as {renamed}, beside its own" if renamed else ""
    err.print(f"{count:,} labelled rows in {output}{beside}")


def _predicted(
    model: Path, rows: Iterator[tuple[str, dict[str, Any]]], err: Console
) -> "Iterator[tuple[str, dict[str, Any], Prediction | LabelsPrediction]]":
    """Texts with their rows, each with its prediction."""
    from tinylm.runtime.loading import load
    from tinylm.runtime.pool import BLOCK, predict_blocks

    count, truncated = 0, 0
    read: list[list[tuple[str, dict[str, Any]]]] = []

    def texts() -> Iterator[list[str]]:
        while block := list(islice(rows, BLOCK)):
            read.append(block)
            yield [text for text, _ in block]

    for predictions in predict_blocks(model, texts()):
        for (text, record), prediction in zip(read.pop(0), predictions.one_by_one(), strict=True):
            yield text, record, prediction
            count, truncated = count + 1, truncated + prediction.truncated
    if truncated:
        say_not_read(load(model), truncated, count, err)


def _names(table: Table) -> list[str]:
    """What the added columns are called: a name that the table has already gets `predicted_` before it."""
    there = set(table.columns())
    names = [f"predicted_{name}" if name in there else name for name in _ADDED]
    taken = next((name for name in names if name in there), None)
    if taken is not None:
        raise InputError(
            f"{table.path} has columns {taken.removeprefix('predicted_')!r} and {taken!r} already; rename or remove one"
        )
    return names


def _labelled(
    record: dict[str, Any], names: Sequence[str], prediction: "Prediction | LabelsPrediction"
) -> dict[str, Any]:
    taken = next((name for name in names if name in record), None)
    if taken is not None:
        raise InputError(
            f"a row has {taken!r}, which the first one does not have; rename it, or name it in the first row"
        )
    disagreement = round(prediction.disagreement, _DIGITS)
    if isinstance(prediction, LabelsPrediction):
        each = (str(round(prediction.probabilities[label], _DIGITS)) for label in prediction.labels)
        added: tuple[Any, ...] = ("|".join(prediction.labels), "|".join(each), disagreement)
    else:
        added = (prediction.label, round(prediction.probability, _DIGITS), disagreement)
    return {**record, **dict(zip(names, added, strict=True))}
