"""A committee on disk: a folder of model folders, and a `committee.json` that names members, labels and vote."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from tinylm.committee.voting import Voting
from tinylm.core.errors import InputError
from tinylm.core.files import write_json
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS
from tinylm.tokens.windows import Long

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
        long: what they do with long texts.
    """

    members: tuple[str, ...]
    labels: tuple[str, ...]
    voting: Voting
    long: Long


def member_names(count: int) -> list[str]:
    """What the folders of so many members are called."""
    return [f"member-{index}" for index in range(count)]


def write_committee(
    folder: Path, members: Sequence[str], labels: Sequence[str], voting: Voting, long: Long = "truncate"
) -> None:
    """Write the `committee.json` that makes a folder of members a committee."""
    write_json(folder / COMMITTEE, {"members": list(members), "labels": list(labels), **asdict(voting), "long": long})


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
        # Older committees have neither a temperature nor n-grams, and one label a text.
        voting = Voting(
            stored["vote"],
            stored.get("temperature", 1.0),
            stored.get("ngram_weight", 0.0),
            stored.get("problem_type", ONE_LABEL),
            tuple(map(float, stored.get("thresholds", ()))),
        )
        is_known = voting.vote in ("probability", "logit") and voting.temperature > 0 and 0 <= voting.ngram_weight <= 1
        is_known &= voting.problem_type in (ONE_LABEL, SEVERAL_LABELS)
        is_known &= len(voting.thresholds) in ((0, len(stored["labels"])) if voting.several else (0,))
        # ... and read the beginning of a text.
        long = stored.get("long", "truncate")
        if are_names and is_known and long in get_args(Long):
            return CommitteeFile(tuple(stored["members"]), tuple(stored["labels"]), voting, long)
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path} does not describe a committee; train or copy the model again")
