"""A committee on disk: a folder of model folders, and a `committee.json` that names members, labels and vote."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinylm.committee.voting import Vote
from tinylm.core.errors import InputError
from tinylm.core.files import write_json

COMMITTEE = "committee.json"


@dataclass(frozen=True)
class CommitteeFile:
    """What `committee.json` says.

    Attributes:
        members: names of their folders.
        labels: names of the classes.
        vote: `probability` averages probabilities, `logit` averages logits.
    """

    members: tuple[str, ...]
    labels: tuple[str, ...]
    vote: Vote


def member_names(count: int) -> list[str]:
    """What the folders of so many members are called."""
    return [f"member-{index}" for index in range(count)]


def write_committee(folder: Path, members: Sequence[str], labels: Sequence[str], vote: Vote) -> None:
    """Write the `committee.json` that makes a folder of members a committee."""
    write_json(folder / COMMITTEE, {"members": list(members), "labels": list(labels), "vote": vote})


def read_committee(folder: Path) -> CommitteeFile:
    """Read the `committee.json` of a folder.

    Raises:
        InputError: it does not describe a committee.
    """
    path = folder / COMMITTEE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        names_and_labels = (stored["members"], stored["labels"])
        are_names = all(isinstance(x, list) and x and all(isinstance(y, str) for y in x) for x in names_and_labels)
        if are_names and stored["vote"] in ("probability", "logit"):
            return CommitteeFile(tuple(stored["members"]), tuple(stored["labels"]), stored["vote"])
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path} does not describe a committee; train or copy the model again")
