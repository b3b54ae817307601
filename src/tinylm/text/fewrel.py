"""FewRel: sentences labelled with the relation of two marked entities, in the official layout.

The layout is `{relation: [{"tokens": [...], "h": [name, id, [[positions]]], "t": ...}]}`. A sentence can
stand under several relations, with other entities; rows of one sentence are therefore one group and are
never separated by a split.
"""

import json
import shutil
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinylm.core.errors import InputError
from tinylm.core.files import cache_folder, new_folder
from tinylm.text.labelled import LabelledRows
from tinylm.text.lines import read_lines

DOWNLOAD = "https://raw.githubusercontent.com/thunlp/FewRel/master/data/"
ROWS, NAMES = "train_wiki.json", "pid2name.json"

HEAD, TAIL = ("<h>", "</h>"), ("<t>", "</t>")
"""Entity markers; plain characters, so that a lower-casing WordPiece vocabulary keeps them apart."""


def read_fewrel_folder(folder: Path | None, *, marked: bool = False) -> tuple[LabelledRows, None]:
    """Read the official file out of its folder; it has no test part.

    Args:
        folder: where it lies; when None, the cache, into which it is downloaded the first time.
        marked: as in `read_fewrel`.

    Raises:
        InputError: the folder has no such file, the download failed, or as `read_fewrel`.
    """
    if folder is None:
        folder = cache_folder() / "fewrel"
        if not folder.is_dir():
            with new_folder(folder) as temporary:
                for name in (ROWS, NAMES):
                    _download(DOWNLOAD + name, temporary / name)
    path = next((path for path in (folder / ROWS, folder / f"{ROWS}.gz") if path.is_file()), None)
    if path is None:
        raise InputError(f"{folder} has neither {ROWS} nor {ROWS}.gz; put the official file there")
    return read_fewrel(path, marked=marked), None


def read_fewrel(path: Path, *, marked: bool) -> LabelledRows:
    """Read a file of the official layout.

    Args:
        path: `train_wiki.json`, plain or compressed; relations are named by a `pid2name.json` beside it.
        marked: write `HEAD` and `TAIL` markers around the two entities.

    Raises:
        InputError: the file is not of that layout; names the relation and the row.
    """
    relations = _json(path)
    if not isinstance(relations, dict) or not all(isinstance(rows, list) for rows in relations.values()):
        raise InputError(f"{path} is not in FewRel's layout; give {{relation: [{{tokens, h, t}}]}}")
    names = _relation_names(path.parent / NAMES, list(relations))
    rows = LabelledRows(str(path))
    for relation, instances in relations.items():
        for number, instance in enumerate(instances, start=1):
            place = f"{path}, relation {relation}, row {number}"
            try:
                tokens = [str(token) for token in instance["tokens"]]
                text = " ".join(_with_markers(tokens, instance) if marked else tokens)
            except (KeyError, TypeError, IndexError, ValueError) as error:
                raise InputError(
                    f"{place} is not in FewRel's layout; give {{tokens, h: [name, id, [[positions]]], t}}"
                ) from error
            rows.add(text, names[relation], place, group=" ".join(tokens))
    if not rows.texts:
        raise InputError(f"{path} has no rows; give FewRel's {ROWS}")
    return rows


def _with_markers(tokens: Sequence[str], instance: dict[str, Any]) -> list[str]:
    before: dict[int, list[str]] = {}
    after: dict[int, list[str]] = {}
    for entity, (opening, closing) in (("h", HEAD), ("t", TAIL)):
        # An entity may be mentioned more than once; the first mention is marked.
        positions = instance[entity][2][0]
        before.setdefault(min(positions), []).append(opening)
        after.setdefault(max(positions), []).insert(0, closing)
    if max(after) >= len(tokens):
        raise IndexError
    return [
        piece
        for position, token in enumerate(tokens)
        for piece in (*before.get(position, ()), token, *after.get(position, ()))
    ]


def _relation_names(path: Path, relations: list[str]) -> dict[str, str]:
    described = _json(path) if path.is_file() else {}
    try:
        names = {relation: str(described.get(relation, [relation])[0]) for relation in relations}
    except (AttributeError, LookupError, TypeError) as error:
        raise InputError(f"{path} is not {{relation: [name, description]}}; fetch it again") from error
    uses = Counter(names.values())
    return {relation: name if uses[name] == 1 else relation for relation, name in names.items()}


def _json(path: Path) -> Any:
    text = "".join(line for _, line in read_lines(path))
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); fetch it again") from error


def _download(url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except OSError as error:
        raise InputError(
            f"{url} cannot be fetched ({error}); connect, or put {ROWS} into a folder "
            "fewrel and give its parent as --data-dir"
        ) from error
