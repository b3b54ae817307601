"""Output folders that know what they are: `run.json` records what a run was asked for.

A folder is taken for one run. Resuming is allowed where the record is the same, and refused with the first
difference where it is not.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinylm.core.errors import InputError
from tinylm.core.files import write_json

RUN = "run.json"


def claim(folder: Path, record: Mapping[str, Any], *, resume: bool, beside: tuple[str, ...] = ()) -> None:
    """Take a folder for a run, or go on with the run that has it; one that has made nothing yet may be changed.

    Args:
        folder: where the run writes; made where it is not there.
        record: what was asked for, as JSON.
        resume: whether the folder may hold this run already.
        beside: names that may stand in the folder of a new run.

    Raises:
        InputError: the folder holds something else, or holds a run and `resume` is false or the records differ,
            or it cannot be written to.
    """
    asked = json.loads(json.dumps(record))
    if check_free(folder, resume=resume, beside=beside):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / RUN, asked)
        except OSError as error:
            raise InputError(f"cannot write to {folder} ({error.strerror}); choose another folder") from error
        return
    difference = _first_difference(read_record(folder), asked)
    if difference:
        raise InputError(
            f"{folder} was started otherwise: {difference}; "
            "resume with what it was started with, or choose another folder"
        )


def check_free(folder: Path, *, resume: bool, beside: tuple[str, ...] = ()) -> bool:
    """Whether a folder is free for a new run; False where it holds one that may be resumed.

    Raises:
        InputError: the folder holds something else, or holds a run and `resume` is false.
    """
    if folder.is_file():
        raise InputError(f"{folder} is a file; choose a folder")
    made = sorted(entry.name for entry in folder.iterdir() if entry.name != RUN) if folder.is_dir() else []
    others = [name for name in made if name not in beside]
    if not others:
        return True
    if not (folder / RUN).is_file():
        raise InputError(f"{folder} holds something else ({others[0]}); choose a new folder")
    if not resume:
        raise InputError(f"{folder} already holds a run; add --resume to go on with it, or choose another folder")
    return False


def read_record(folder: Path) -> dict[str, Any]:
    """What the run in a folder was asked for; empty where there is no run."""
    if not (folder / RUN).is_file():
        return {}
    record: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
    return record


def _first_difference(stored: Any, asked: Any, name: str = "") -> str:
    if isinstance(stored, dict) and isinstance(asked, dict):
        for key in sorted(stored.keys() | asked.keys()):
            found = _first_difference(stored.get(key), asked.get(key), f"{name}.{key}" if name else key)
            if found:
                return found
        return ""
    if stored == asked:
        return ""
    if name.endswith("_fingerprint"):
        return f"the {name.removesuffix('_fingerprint')} has changed since"
    return f"{name} was {stored!r} and is now {asked!r}"
