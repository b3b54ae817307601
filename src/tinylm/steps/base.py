"""What all steps share: their output folder, its record, fingerprints of weights, and members that are not finished."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, overload

from tinylm.committee.files import COMMITTEE, member_names
from tinylm.core.errors import InputError
from tinylm.core.extras import needed
from tinylm.core.files import cache_folder, file_digest
from tinylm.core.progress import Progress
from tinylm.core.renamed import refuse_old_names
from tinylm.core.runs import read_record
from tinylm.model.layout import CONFIG, WEIGHTS
from tinylm.model.operations import Array
from tinylm.runtime.encoder import Encoder
from tinylm.runtime.loading import open_encoder, pretrained_members
from tinylm.train.settings import TrainingSettings

Settings = TypeVar("Settings", bound=TrainingSettings)

PRETRAINED = "pretrained"
"""Folder of the pre-trained members, in that of a model that `Train` made."""


@dataclass(frozen=True)
class Base:
    """Pre-trained members, ready to be fine-tuned."""

    folder: Path
    """Where they are."""
    members: tuple[Path, ...]
    """A model folder each."""

    @overload
    def encode(self, texts: Iterator[str], *, normalise: bool = False) -> Iterator[Array]: ...  # type: ignore[overload-overlap]
    @overload
    def encode(self, texts: str | Iterable[str], *, normalise: bool = False) -> Array: ...
    def encode(self, texts: str | Iterable[str], *, normalise: bool = False) -> Any:
        """The vectors of texts, those of the members side by side; see `Encoder.encode`."""
        return self.encoder.encode(texts, normalise=normalise)

    @cached_property
    def encoder(self) -> Encoder:
        """The members as one encoder."""
        return open_encoder(self.members)

    def first(self, members: int | None) -> "Base":
        """The first members; all when None.

        Raises:
            InputError: there are fewer.
        """
        if members is None:
            return self
        if members > len(self.members):
            raise InputError(
                f"{self.folder} has {len(self.members)} pre-trained member(s), not {members}; "
                "pre-train more of them first, with --resume"
            )
        return Base(self.folder, self.members[:members])


def open_base(folder: str | Path) -> Base:
    """The pre-trained members in a folder that `Pretrain` or `Train` wrote, or one BERT in Hugging Face's layout.

    Raises:
        InputError: there are none.
    """
    folder = Path(folder)
    if (folder / PRETRAINED).is_dir():
        folder = folder / PRETRAINED
    elif (folder / COMMITTEE).is_file():
        raise InputError(f"{folder} is fine-tuned already; give the folder that `tinylm pretrain` wrote")
    members = pretrained_members(folder)
    if members:
        return Base(folder, tuple(members))
    what = "has no finished member yet" if read_record(folder) else "holds no pre-trained model"
    raise InputError(f"{folder} {what}; give the folder that `tinylm pretrain` wrote")


def output_folder(output: str | Path | None, kind: str, record: Mapping[str, Any]) -> Path:
    """The folder that a step writes: `output`, or one in tinylm's cache that is named by the hash of the record."""
    if output is not None:
        return Path(output)
    name = hashlib.blake2b(json.dumps(record, sort_keys=True).encode(), digest_size=8).hexdigest()
    return cache_folder() / kind / name


def pending_members(folder: Path, count: int, done: str, progress: Progress) -> Iterator[tuple[int, Path]]:
    """Number and folder of each member that is not finished yet.

    Args:
        folder: of all of them.
        count: how many there are to be.
        done: what to report of a finished one: `"pre-trained"`.
        progress: receives a line for each finished member.
    """
    for index, name in enumerate(member_names(count)):
        target = folder / name
        if (target / CONFIG).is_file():
            progress.say(f"member {index} is {done} already: {target}")
        else:
            yield index, target


def weights_fingerprints(members: Iterable[Path]) -> dict[str, str]:
    """Hash of the weights in each model folder, in hex digits, by the folder's name.

    Raises:
        InputError: a folder has no weights.
    """
    fingerprints = {}
    for member in members:
        weights = member / WEIGHTS
        if not weights.is_file():
            raise InputError(f"{member} is not a complete model folder: it has no {WEIGHTS}")
        fingerprints[member.name] = hashlib.blake2b(file_digest(weights), digest_size=16).hexdigest()
    return fingerprints


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with some fields changed.

    Raises:
        InputError: a field is given by the name that it had before, or the settings contradict each other.
    """
    refuse_old_names(changes)
    return replace(settings, **changes)


def require_members(members: int) -> None:
    """Refuse a committee of nobody.

    Raises:
        InputError: `members` is below 1.
    """
    if members < 1:
        raise InputError(f"members is {members}; a committee needs at least 1")


def require_training(what: str) -> None:
    """Say what to install where torch is missing.

    Args:
        what: what needs it, as the beginning of a sentence.

    Raises:
        MissingExtraError: the `train` extra is not installed.
    """
    needed("torch", what)


def require_one_process() -> None:
    """Refuse several processes where one member is too small to share.

    Raises:
        InputError: torchrun started more than one.
    """
    from tinylm.train.distributed import join_processes

    if join_processes().size > 1:
        raise InputError("fine-tuning takes one process; give torchrun `tinylm pretrain` alone")
