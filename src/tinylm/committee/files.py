"""A committee on disk: a folder of model folders, and a `committee.json` that names members, labels and vote."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tinylm.committee.voting import Voting
from tinylm.core.errors import InputError
from tinylm.core.files import write_json

COMMITTEE = "committee.json"
SEARCH = "search.json"
"""What was found before its members were fine-tuned."""


@dataclass(frozen=True)
class CommitteeFile:
    """What `committee.json` says.

    Attributes:
        members: names of their folders.
        labels: names of the classes.
        voting: how they vote.
    """

    members: tuple[str, ...]
    labels: tuple[str, ...]
    voting: Voting


def member_names(count: int) -> list[str]:
    """What the folders of so many members are called."""
    return [f"member-{index}" for index in range(count)]


def write_committee(folder: Path, members: Sequence[str], labels: Sequence[str], voting: Voting) -> None:
    """Write the `committee.json` that makes a folder of members a committee."""
    write_json(folder / COMMITTEE, {"members": list(members), "labels": list(labels), **asdict(voting)})


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
        # A committee of before there was a temperature has none.
        voting = Voting(stored["vote"], stored.get("temperature", 1.0))
        if are_names and voting.vote in ("probability", "logit") and voting.temperature > 0:
            return CommitteeFile(tuple(stored["members"]), tuple(stored["labels"]), voting)
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path} does not describe a committee; train or copy the model again")
