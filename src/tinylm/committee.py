"""The soft committee: members that vote.

A committee is a folder of model folders and a `committee.json` that names them, their labels and how they vote.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tinylm import voting
from tinylm.errors import InputError
from tinylm.model.checkpoint import CONFIG, load_classifier, save_model
from tinylm.model.heads import SequenceClassifier
from tinylm.storage import new_folder, write_json
from tinylm.text.encoded import EncodedTexts
from tinylm.text.tokenizer import Tokenizer, load_tokenizer
from tinylm.train.finetune import class_logits
from tinylm.voting import Vote

COMMITTEE = "committee.json"
_CHUNK = 256


@dataclass(frozen=True)
class Prediction:
    """What a committee says of one text.

    Attributes:
        label: the most probable label.
        probability: of that label, 0 to 1.
        probabilities: of every label.
        disagreement: mutual information between member and prediction, in nats; 0 where all members agree.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    disagreement: float


@dataclass(frozen=True)
class Member:
    """One voter: a classifier and its vocabulary."""

    model: SequenceClassifier
    tokenizer: Tokenizer


class Committee:
    """Members that vote on the class of a text.

    Args:
        members: at least one.
        labels: names of the classes.
        vote: `probability` averages probabilities, `logit` averages logits.

    Raises:
        InputError: there is no member.
    """

    def __init__(self, members: Sequence[Member], labels: Sequence[str], vote: Vote = "probability") -> None:
        if not members:
            raise InputError("a committee needs at least one member")
        self.members = tuple(members)
        self.labels = tuple(labels)
        self.vote = vote
        for member in self.members:
            member.model.eval()

    def __len__(self) -> int:
        return len(self.members)

    def votes(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """What each member says: probabilities of shape (members, texts, labels)."""
        if isinstance(texts, str):
            raise InputError("votes takes a list of texts; put the one text in a list")
        if not len(texts):
            return np.empty((len(self), 0, len(self.labels)))
        encoded: dict[tuple[str, int], EncodedTexts] = {}
        votes = []
        for member in self.members:
            length = member.model.config.positions
            key = (member.tokenizer.fingerprint, length)
            if key not in encoded:
                encoded[key] = EncodedTexts(texts, member.tokenizer, length)
            with torch.inference_mode():
                votes.append(class_logits(member.model, encoded[key]).double().softmax(1).numpy())
        return np.stack(votes)

    def predict_proba(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """What the committee says: probabilities of shape (texts, labels)."""
        votes = self.votes(texts)
        return voting.vote(votes, self.vote) if votes.size else votes[0]

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The most probable label of each text."""
        return [self.labels[index] for index in self.predict_proba(texts).argmax(1)]

    def disagreement(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """How much the members contradict each other: nats, of shape (texts,); see `voting.disagreement`."""
        votes = self.votes(texts)
        return voting.disagreement(votes) if votes.size else np.empty(0)

    def predictions(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """Predictions as a stream, in the order of the texts, which are taken a few hundred at a time."""
        iterator = iter(texts)
        while chunk := list(islice(iterator, _CHUNK)):
            votes = self.votes(chunk)
            for row, doubt in zip(voting.vote(votes, self.vote), voting.disagreement(votes), strict=True):
                best = int(row.argmax())
                probabilities = dict(zip(self.labels, row.tolist(), strict=True))
                yield Prediction(self.labels[best], float(row[best]), probabilities, float(doubt))

    def save(self, folder: str | Path) -> None:
        """Write the committee, whole or not at all.

        Raises:
            InputError: the folder holds something that is not a committee.
        """
        folder = Path(folder)
        is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
        if not is_free and not (folder / COMMITTEE).is_file():
            raise InputError(f"{folder} holds something else; choose a new folder for the committee")
        with new_folder(folder) as temporary:
            names = member_names(len(self))
            for name, member in zip(names, self.members, strict=True):
                (temporary / name).mkdir()
                save_model(temporary / name, member.model, member.tokenizer, self.labels)
            write_committee(temporary, names, self.labels, self.vote)


def member_names(count: int) -> list[str]:
    """What the folders of so many members are called."""
    return [f"member-{index}" for index in range(count)]


def write_committee(folder: Path, members: Sequence[str], labels: Sequence[str], vote: Vote) -> None:
    """Write the `committee.json` that makes a folder of members a committee."""
    write_json(folder / COMMITTEE, {"members": list(members), "labels": list(labels), "vote": vote})


def load(folder: str | Path) -> Committee:
    """Open a committee, or a single classifier as a committee of one.

    Raises:
        InputError: the folder is neither, or its members do not fit together.
    """
    folder = Path(folder)
    if (folder / COMMITTEE).is_file():
        stored = _read(folder / COMMITTEE)
        members = [_open(folder / name, tuple(stored["labels"])) for name in stored["members"]]
        return Committee(members, stored["labels"], stored["vote"])
    if (folder / CONFIG).is_file():
        model, labels = load_classifier(folder)
        return Committee([Member(model, load_tokenizer(folder))], labels)
    if not folder.is_dir():
        raise InputError(f"there is no model at {folder}; give the folder that `tinylm train -o` wrote")
    raise InputError(
        f"{folder} is not a trained model: it has neither {COMMITTEE} nor {CONFIG}; "
        "give the folder that `tinylm train` or `tinylm finetune` wrote"
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names_and_labels = (stored["members"], stored["labels"])
        are_names = all(isinstance(x, list) and x and all(isinstance(y, str) for y in x) for x in names_and_labels)
        if are_names and stored["vote"] in ("probability", "logit"):
            return stored
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path} does not describe a committee; train or copy the model again")


def _open(folder: Path, labels: tuple[str, ...]) -> Member:
    model, own = load_classifier(folder)
    if own != labels:
        raise InputError(f"{folder} has other labels than its committee; train or copy the model again")
    return Member(model, load_tokenizer(folder))
