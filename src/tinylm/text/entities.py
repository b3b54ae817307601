"""Entities, which stand in a text from one character to another, as marks around them that a model reads.

`Paris is in France` with [[0, 5], [12, 18]] becomes `<e1> Paris </e1> is in <e2> France </e2>`. In fine-tuning each
mark is a piece of its own (`tokens/task_pieces.py`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tinylm.core.errors import InputError

_NAME = re.compile(r"[a-z]\w{0,19}", re.IGNORECASE)
"""What a mark can be called, as `tokens/task_pieces.py` finds it."""


def mark_entities(text: str, entities: Sequence[Sequence[Any] | Mapping[str, Any]]) -> str:
    """A text with marks around its entities.

    Args:
        text: in which they stand.
        entities: where each begins and where it ends, in characters from 0, the end excluded: `(start, end)`, or
            `(start, end, name)`, or a mapping with `start`, `end` and perhaps `label`. The marks of one are `<name>`
            and `</name>`; without a name `<e1>` is the first, `<e2>` the second. They may stand within each other.

    Raises:
        InputError: an entity is none of these, does not lie in the text, or has a name that is no word of up to 20
            letters, digits and underscores.
    """
    spans = [(*_span(entity, number, text), number) for number, entity in enumerate(entities, start=1)]
    # Of marks at one place, those that close come first: the inner entity's before the outer's. Of those that open,
    # the outer's comes first.
    marks = [(end, 0, -start, -number, f" </{name}>") for start, end, name, number in spans]
    marks += [(start, 1, -end, number, f"<{name}> ") for start, end, name, number in spans]
    pieces, done = [], 0
    for place, *_, mark in sorted(marks):
        pieces += [text[done:place], mark]
        done = place
    return "".join([*pieces, text[done:]])


def mark_entities_of_cell(text: str, value: Any, column: str, place: str) -> str:
    """The text of a row with marks around the entities that a cell names; see `mark_entities`.

    Args:
        text: of the row.
        value: of the cell: a list of entities, or one as JSON; nothing where the text has none.
        column: of the cell, for messages.
        place: of the row, for messages.

    Raises:
        InputError: it is no such list; as `mark_entities`.
    """
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _no_list(value, column, place) from None
    if value is None or value == "":
        return text
    if not isinstance(value, list | tuple):
        raise _no_list(value, column, place)
    try:
        return mark_entities(text, value)
    except InputError as error:
        raise InputError(f"{place}: in {column!r}, {error}") from error


def _span(entity: Any, number: int, text: str) -> tuple[int, int, str]:
    """Where an entity begins, where it ends, and the name of its marks."""
    if isinstance(entity, Mapping):
        entity = [entity.get("start"), entity.get("end"), *([entity["label"]] if "label" in entity else [])]
    is_span = isinstance(entity, list | tuple) and len(entity) in (2, 3)
    if not is_span or not all(isinstance(at, int) and not isinstance(at, bool) for at in entity[:2]):
        raise InputError(f"{entity!r} is no entity; write [start, end] or [start, end, name], in characters from 0")
    start, end = entity[:2]
    if not 0 <= start < end <= len(text):
        raise InputError(
            f"an entity from {start} to {end} does not lie in a text of {len(text)} characters; count from 0, and let "
            "it end behind its last character"
        )
    name = entity[2] if len(entity) == 3 else f"e{number}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot name a mark; give a word of up to 20 letters, digits and underscores")
    return start, end, name


def _no_list(value: Any, column: str, place: str) -> InputError:
    shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}..."
    return InputError(
        f"{place}: {shown} in {column!r} is no list of entities; write [[start, end], ...], in characters from 0"
    )
