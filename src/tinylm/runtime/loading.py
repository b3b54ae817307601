"""Opening a model: an exported artefact, a trained committee, or one classifier in Hugging Face's layout."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tinylm.committee.files import COMMITTEE, read_committee
from tinylm.committee.voting import PLAIN, Voting
from tinylm.core.errors import InputError
from tinylm.core.runs import RUN
from tinylm.model.layout import CONFIG, read_config
from tinylm.model.ngrams import NGRAMS, NgramClassifier
from tinylm.runtime.artefact import ARTEFACT, GRAPH, read_artefact, vocabulary_folders
from tinylm.runtime.backends import Backend, NumpyBackend, NumpyEncoderBackend, OnnxBackend
from tinylm.runtime.batches import Vocabulary
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.encoder import Encoder
from tinylm.runtime.fold import FoldedEncoder, FoldedMember, fold_encoder, fold_member
from tinylm.runtime.forward import groups
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.windows import Long

_BATCH_TOKENS = 1024


@dataclass(frozen=True)
class Checkpoint:
    """A committee as it was trained.

    Attributes:
        members: the voters, folded.
        folders: where each is.
        voting: how they vote.
        files: all that makes the model.
        ngrams: the linear n-gram classifier that votes with the members, if there is one.
        long: what they do with long texts.
    """

    members: tuple[FoldedMember, ...]
    folders: tuple[Path, ...]
    voting: Voting
    files: tuple[Path, ...]
    ngrams: NgramClassifier | None = None
    long: Long = "truncate"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.members[0].labels

    @property
    def vocabularies(self) -> list[Vocabulary]:
        """Tokenizer and length limit of each group of members, in the order of `forward.groups`."""
        return _vocabularies(self.members)

    @property
    def batch_tokens(self) -> int:
        """Padded tokens that a batch should have at most, so that what is made of them fits into a core's cache."""
        return _batch_tokens(self.members)

    def classifier(self, backend: Backend, threads: int) -> Classifier:
        """A classifier: the committee's vocabularies around a backend that computes their forward pass."""
        return Classifier(
            backend,
            self.vocabularies,
            members=len(self.members),
            labels=self.labels,
            voting=self.voting,
            long=self.long,
            threads=threads,
            batch_tokens=self.batch_tokens,
            files=self.files,
        )


def load(folder: str | Path, threads: int = 1) -> Classifier:
    """Open a trained or exported model.

    Args:
        folder: an artefact, a committee, or a classifier in Hugging Face's layout.
        threads: processor threads that one call may use.

    Raises:
        InputError: the folder is none of these, its parts do not fit together, or `threads` is not positive.
    """
    folder = Path(folder)
    _require_threads(threads)
    if (folder / ARTEFACT).is_file():
        return _open_artefact(folder, threads)
    checkpoint = open_checkpoint(folder)
    backend = NumpyBackend(checkpoint.members, checkpoint.voting, threads, checkpoint.ngrams)
    return checkpoint.classifier(backend, threads)


def load_encoder(folder: str | Path, threads: int = 1) -> Encoder:
    """Open what turns texts into vectors: pre-trained members, or those of a trained or exported model.

    Args:
        folder: what `tinylm pretrain`, `tinylm train`, `tinylm finetune` or `tinylm export` wrote, or one BERT in
            Hugging Face's layout.
        threads: processor threads that one call may use.

    Raises:
        InputError: the folder is none of these, its parts do not fit together, or `threads` is not positive.
    """
    folder = Path(folder)
    _require_threads(threads)
    if (folder / ARTEFACT).is_file():
        return _open_artefact(folder, threads).encoder
    if (folder / COMMITTEE).is_file():
        stored = read_committee(folder)
        return open_encoder([folder / name for name in stored.members], threads, stored.long)
    members = pretrained_members(folder)
    if members == [folder] and read_config(folder)[1]:
        # A classifier by itself does not say what it was fine-tuned to read: `load` takes the beginning.
        return open_encoder(members, threads, "truncate")
    if not members:
        raise InputError(f"{folder} holds no model; give the folder that `tinylm pretrain` or `tinylm train` wrote")
    return open_encoder(members, threads)


def open_encoder(folders: Sequence[Path], threads: int = 1, long: Long = "windows") -> Encoder:
    """Open some model folders as one encoder, whatever stands on theirs; see `load_encoder`.

    Args:
        folders: at least one; their vectors stand side by side.
        threads: processor threads that one call may use.
        long: what is done with long texts.

    Raises:
        InputError: one is no model folder.
    """
    members = [fold_encoder(folder) for folder in folders]
    backend = NumpyEncoderBackend(members, threads)
    return Encoder(backend, _vocabularies(members), long=long, threads=threads, batch_tokens=_batch_tokens(members))


def pretrained_members(folder: Path) -> list[Path]:
    """The finished members that pre-training left in a folder, or the folder itself where it is one; may be none."""
    found = sorted(folder.glob(f"member-*/{CONFIG}"), key=lambda path: int(path.parent.name.split("-")[1]))
    if found:
        return [path.parent for path in found]
    return [folder] if (folder / CONFIG).is_file() else []


def _vocabularies(members: Sequence[FoldedEncoder]) -> list[Vocabulary]:
    firsts = [members[group[0]] for group in groups(members)]
    return [Vocabulary(member.tokenizer, member.positions) for member in firsts]


def _batch_tokens(members: Sequence[FoldedEncoder]) -> int:
    return max(1, _BATCH_TOKENS // max(member.front_end.channels for member in members))


def _require_threads(threads: int) -> None:
    if threads < 1:
        raise InputError(f"threads is {threads}; it must be at least 1")


def open_checkpoint(folder: Path) -> Checkpoint:
    """Open a committee, or a single classifier as a committee of one.

    Raises:
        InputError: the folder is neither, or its members do not fit together.
    """
    if (folder / COMMITTEE).is_file():
        stored = read_committee(folder)
        folders = tuple(folder / name for name in stored.members)
        members = tuple(map(fold_member, folders))
        for path, member in zip(folders, members, strict=True):
            if member.labels != stored.labels or member.problem_type != stored.voting.problem_type:
                raise InputError(f"{path} has other labels than its committee; train or copy the model again")
        ngrams = None
        if stored.voting.ngram_weight:
            ngrams = NgramClassifier.load(folder, len(stored.labels))
            if ngrams.vocab_size != members[0].config.vocab_size:
                raise InputError(f"{folder / NGRAMS} has another vocabulary than its committee; copy the model again")
        files = _present(folder / COMMITTEE, *folders, folder / NGRAMS, folder / RUN)
        return Checkpoint(members, folders, stored.voting, files, ngrams, stored.long)
    if (folder / CONFIG).is_file():
        member = fold_member(folder)
        voting = replace(PLAIN, problem_type=member.problem_type)
        return Checkpoint((member,), (folder,), voting, _present(*sorted(folder.iterdir())))
    if not folder.is_dir():
        raise InputError(f"there is no model at {folder}; give the folder that `tinylm train -o` wrote")
    raise InputError(
        f"{folder} is not a trained model: it has none of {ARTEFACT}, {COMMITTEE} and {CONFIG}; "
        "give the folder that `tinylm train`, `tinylm finetune` or `tinylm export` wrote"
    )


def _open_artefact(folder: Path, threads: int) -> Classifier:
    artefact = read_artefact(folder)
    if not (folder / GRAPH).is_file():
        raise InputError(f"{folder} is not a complete artefact: it has no {GRAPH}; export the model again")
    folders = vocabulary_folders(folder, len(artefact.positions))
    vocabularies = [
        Vocabulary(load_tokenizer(path), positions) for path, positions in zip(folders, artefact.positions, strict=True)
    ]
    return Classifier(
        OnnxBackend(folder / GRAPH, len(vocabularies), threads),
        vocabularies,
        members=artefact.members,
        labels=artefact.labels,
        voting=artefact.voting,
        long=artefact.long,
        threads=threads,
        batch_tokens=artefact.batch_tokens,
        files=_present(*sorted(folder.iterdir())),
    )


def _present(*files: Path) -> tuple[Path, ...]:
    """Those that are there, and not hidden."""
    return tuple(path for path in files if path.exists() and not path.name.startswith("."))
