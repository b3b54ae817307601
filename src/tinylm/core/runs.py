"""Output folders that know what they are: `run.json` records the settings of a run.

A folder is taken for one run. Resuming is allowed where the record is the same, and refused with the first
difference where it is not.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinylm.core.errors import InputError
from tinylm.core.files import write_json
from tinylm.core.renamed import with_current_names

RUN = "run.json"
_SETTINGS = ("settings", "distillation")
_FINGERPRINTS = "_fingerprints"
"""Ends the name of a table of hashes, one a member; a resumed run may have more members, but no other ones."""


def claim(folder: Path, record: Mapping[str, Any], *, resume: bool, may_hold: tuple[str, ...] = ()) -> None:
    """Take a folder for a run, or go on with the run that has it; one that has made nothing yet may be changed.

    Args:
        folder: where the run writes; made where it is not there.
        record: the settings of the run, as JSON.
        resume: whether the folder may hold this run already.
        may_hold: names that may be in the folder of a new run.

    Raises:
        InputError: the folder holds something else, or holds a run and `resume` is false or the records differ,
            or it cannot be written to.
    """
    requested = json.loads(json.dumps(record))
    if is_free(folder, resume=resume, may_hold=may_hold):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / RUN, requested)
        except OSError as error:
            raise InputError(f"cannot write to {folder} ({error.strerror}); choose another folder") from error
        return
    stored = read_record(folder)
    difference = _first_difference(stored, requested)
    if difference:
        raise InputError(
            f"{folder} was started otherwise: {difference}; "
            "resume with what it was started with, or choose another folder"
        )
    more = {
        key: {**(stored.get(key) or {}), **value} for key, value in requested.items() if key.endswith(_FINGERPRINTS)
    }
    if any(stored.get(key) != value for key, value in more.items()):
        write_json(folder / RUN, {**stored, **more})


def is_free(folder: Path, *, resume: bool, may_hold: tuple[str, ...] = ()) -> bool:
    """Whether a folder is free for a new run; False where it holds one that may be resumed.

    Raises:
        InputError: the folder holds something else, or holds a run and `resume` is false.
    """
    others = [name for name in names_in(folder) if name not in (RUN, *may_hold)]
    if not others:
        return True
    if not (folder / RUN).is_file():
        raise InputError(f"{folder} holds something else ({others[0]}); choose a new folder")
    if not resume:
        raise InputError(f"{folder} already holds a run; add --resume to go on with it, or choose another folder")
    return False


def names_in(folder: Path) -> list[str]:
    """What is in a folder that is to be written, sorted; nothing where it is not there.

    Raises:
        InputError: it is a file.
    """
    if folder.is_file():
        raise InputError(f"{folder} is a file; choose a folder")
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def read_record(folder: Path) -> dict[str, Any]:
    """The record of the run in a folder, settings under their names of today; empty where there is no run."""
    if not (folder / RUN).is_file():
        return {}
    record: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
    # Of one hash of a whole committee, before there was one a member.
    record.pop("teacher_fingerprint", None)
    for key in _SETTINGS:
        if isinstance(record.get(key), dict):
            record[key] = with_current_names(record[key])
    # A vocabulary that was trained before there was a choice lost its accents.
    if "presets" in record and record.get("vocabulary", "") is None:
        record = {"case": "fold", "accents": "strip", **record}
    # What was fine-tuned before there were bigrams, a search and windows has had none of them.
    if "task" in record and isinstance(record.get("settings"), dict):
        record["settings"] = {"bigrams": False, "search": False, "long": "truncate", **record["settings"]}
    # What was read before there was a choice.
    if isinstance(record.get("task_source"), dict):
        record["task_source"] = {"encoding": "utf-8", "rare": "keep", **record["task_source"]}
    return record


def _first_difference(stored: Any, requested: Any, name: str = "") -> str:
    if name.endswith(_FINGERPRINTS):
        before, now = stored or {}, requested or {}
        other = next((member for member in before if now.get(member, before[member]) != before[member]), None)
        return f"{other} of the {name.removesuffix(_FINGERPRINTS)} has changed since" if other else ""
    if isinstance(stored, dict) and isinstance(requested, dict):
        for key in sorted(stored.keys() | requested.keys()):
            found = _first_difference(stored.get(key), requested.get(key), f"{name}.{key}" if name else key)
            if found:
                return found
        return ""
    if stored == requested:
        return ""
    if name.endswith("_fingerprint"):
        return f"the {name.removesuffix('_fingerprint')} has changed since"
    return f"{name} was {stored!r} and is now {requested!r}"
