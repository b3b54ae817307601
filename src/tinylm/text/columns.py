"""Which column is the text and which the label: the one that is named, or the first of the usual names."""

from collections.abc import Sequence

from tinylm.core.errors import InputError

TEXT_COLUMNS = (
    "text",
    "sentence",
    "content",
    "document",
    "body",
    "review",
    "description",
    "message",
    "comment",
    "abstract",
    "title",
)
LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "intent", "relation", "topic", "sentiment")


def text_column(
    source: str, columns: Sequence[str], requested: str | None = None, option: str = "--text-column"
) -> str:
    """The column of the text.

    Args:
        source: the file or data set, for the message.
        columns: those there are.
        requested: the name that the user gave.
        option: how it can be given on the command line.

    Raises:
        InputError: `requested` is not there, or none of `TEXT_COLUMNS` is (in any case of letters).
    """
    return _find(source, columns, requested, TEXT_COLUMNS, "text", option)


def task_columns(
    source: str,
    columns: Sequence[str],
    text: str | None = None,
    label: str | None = None,
    options: tuple[str, str] = ("--text-column", "--label-column"),
) -> tuple[str, str]:
    """The columns of the text and of the label; of two columns, knowing one is enough.

    Args:
        source: the file or data set, for the message.
        columns: those there are.
        text: the text column that the user named.
        label: the label column that the user named.
        options: how the two can be given.

    Raises:
        InputError: a named column is not there, a column cannot be identified, or both are the same.
    """
    text_found = text or _usual(columns, TEXT_COLUMNS)
    label_found = label or _usual(columns, LABEL_COLUMNS)
    if len(columns) == 2:
        if text_found is None and label_found in columns:
            text_found = next(name for name in columns if name != label_found)
        elif label_found is None and text_found in columns:
            label_found = next(name for name in columns if name != text_found)
    pair = (
        _find(source, columns, text_found, (), "text", options[0]),
        _find(source, columns, label_found, (), "label", options[1]),
    )
    if pair[0] == pair[1]:
        raise InputError(
            f"{source}: the column {pair[0]!r} cannot be both text and label; "
            f"name the other with {options[0]} or {options[1]}"
        )
    return pair


def named_column(source: str, columns: Sequence[str], name: str, option: str) -> str:
    """A column by the name that the user gave with `option`.

    Raises:
        InputError: it is not there.
    """
    if name not in columns:
        there = ", ".join(map(repr, columns))
        raise InputError(f"{source} has no column {name!r}; it has {there}: name one with {option}")
    return name


def _find(
    source: str, columns: Sequence[str], requested: str | None, usual: Sequence[str], what: str, option: str
) -> str:
    if requested is not None:
        return named_column(source, columns, requested, option)
    found = _usual(columns, usual)
    if found is None:
        there = ", ".join(map(repr, columns))
        raise InputError(f"{source} has no column that is known as {what}; it has {there}: name one with {option}")
    return found


def _usual(columns: Sequence[str], usual: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed(columns)}
    return next((by_lower[name] for name in usual if name in by_lower), None)
