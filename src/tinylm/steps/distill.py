"""Distillation: a committee to one member, or a few, that predict what it predicts, on text without labels."""

import shutil
from collections.abc import Iterable
from dataclasses import KW_ONLY, asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tinylm.committee.files import member_names, read_committee, write_committee
from tinylm.core.errors import InputError
from tinylm.core.progress import Progress, Reporting, Silent
from tinylm.core.runs import claim, read_record
from tinylm.core.terminal import listener
from tinylm.model.layout import read_config
from tinylm.model.ngrams import NGRAMS
from tinylm.runtime.artefact import ARTEFACT
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.loading import load, open_checkpoint
from tinylm.steps.base import (
    changed,
    pending_members,
    require_members,
    require_one_process,
    require_training,
    weights_fingerprints,
)
from tinylm.steps.continuing import refuse_frozen_heads
from tinylm.steps.flags import CORPUS, DISTILLATION
from tinylm.steps.soft_targets import SoftTargets
from tinylm.text.corpus import Corpus, CorpusSource
from tinylm.text.lines import UTF_8
from tinylm.text.memory import Frame, corpus_source
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.encoding import tokenise
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.sequences import split_documents
from tinylm.tokens.windows import most_windows
from tinylm.train.settings import DistillSettings

_TARGETS = "soft-targets"


@dataclass(frozen=True)
class Distill:
    """Distil a committee into one member, which predicts in a fraction of the time, on text without labels.

    The committee's first member goes on learning until it predicts what all members predict together. Further members
    may do the same, and vote as the committee does. A linear n-gram classifier that votes with the committee goes on
    voting with them.

    Raises:
        InputError: no member is to be distilled.
    """

    model: Path
    """Folder of a committee that `tinylm train` or `tinylm finetune` wrote."""
    _: KW_ONLY
    corpus: Annotated[CorpusSource, CORPUS]
    """Texts such as the model will classify, of which as much is read as a member can."""
    members: int = 1
    """Members to distil into, the committee's first ones, which then vote; predicting costs as many times more."""
    settings: Annotated[DistillSettings, DISTILLATION] = field(default_factory=DistillSettings)
    """How to train."""

    def __post_init__(self) -> None:
        require_members(self.members)

    def record(self, corpus: Corpus) -> dict[str, Any]:
        """What decides the weights, as JSON.

        What the committee was trained on is in it, since that says which texts are left to evaluate its students on.
        """
        trained = read_record(self.model)
        return {
            **{key: value for key, value in trained.items() if key.startswith("task") or key == "settings"},
            "teacher": str(self.model.absolute()),
            "teacher_fingerprints": weights_fingerprints(self._teachers()),
            "corpus": corpus.name,
            "corpus_fingerprint": corpus.fingerprint,
            "distillation": asdict(self.settings),
        }

    def run(self, output: str | Path, *, resume: bool = False, progress: Progress | None = None) -> Classifier:
        """Distil into the members that are not finished yet, and open them.

        Args:
            output: folder to write.
            resume: go on with what it holds.
            progress: receives stages and messages.

        Raises:
            InputError: bad text or folder, or a model that is no committee of so many trained members.
            InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
            DivergedError: the loss exploded.
        """
        require_training("tinylm.distill")
        from tinylm.train.distill import distill_member
        from tinylm.train.distributed import join_processes

        require_one_process()
        output, progress = Path(output), progress or Silent()
        self._require_committee()
        corpus = self.corpus.open(self.settings.seed, progress)
        claim(output, self.record(corpus), resume=resume)
        committee = read_committee(self.model)
        for index, target in pending_members(output, self.members, "distilled", progress):
            start = self.model / committee.members[index]
            tokenizer = load_tokenizer(start)
            tokens = tokenise(corpus, tokenizer, progress=progress)
            # Too few texts are refused before the committee predicts any.
            split_documents(len(tokens), self.settings.seed)
            soft = SoftTargets.compute(output / _TARGETS, self.model, len(committee.labels), corpus, progress)
            length, windows = read_config(start)[0].positions, most_windows(committee.long)
            texts = EncodedTexts.of_file(tokens, tokenizer, length, windows)
            # Only where texts are missing in the token file is the corpus tokenised again, to see which.
            targets = soft.of_readable(corpus, tokenizer) if tokens.meta.unreadable else soft.probabilities
            distill_member(target, index, start, texts, targets, self.settings, join_processes(), progress)
        if committee.voting.ngram_weight:
            shutil.copyfile(self.model / NGRAMS, output / NGRAMS)
        write_committee(output, member_names(self.members), committee.labels, committee.voting, committee.long)
        shutil.rmtree(output / _TARGETS, ignore_errors=True)
        return load(output)

    def _teachers(self) -> list[Path]:
        return [self.model / name for name in read_committee(self.model).members]

    def _require_committee(self) -> None:
        if (self.model / ARTEFACT).is_file():
            raise InputError(
                f"{self.model} was exported, and members are distilled before that; give the folder it was made from"
            )
        members = len(open_checkpoint(self.model).members)
        if members < 2:
            raise InputError(f"{self.model} has one member only, and nothing to learn from others; give a committee")
        if self.members > members:
            raise InputError(f"{self.model} has {members} members, not {self.members}; distil into no more than it has")
        refuse_frozen_heads(self.model, self._teachers())


def distill(
    model: str | Path,
    corpus: str | Path | Corpus | CorpusSource | Frame | Iterable[str],
    *,
    output: str | Path,
    members: int = Distill.members,
    documents: int | None = None,
    text_column: str | None = None,
    encoding: str = UTF_8,
    data_dir: str | Path | None = None,
    settings: DistillSettings | None = None,
    resume: bool = False,
    progress: Reporting = "auto",
    **changes: Any,
) -> Classifier:
    """Distil a committee into one member or a few; see `Distill`, whose fields the arguments are.

    Args:
        model: folder of a committee as it was trained.
        corpus: texts such as it will classify: whatever `pretrain` takes.
        output: folder to write.
        members: how many of the committee's members are distilled into, the first ones.
        documents: how many texts to use, drawn by seed; all when None.
        text_column: the column of the text; found by the usual names when None.
        encoding: of files that are text.
        data_dir: where data sets known by name are looked for.
        settings: how to train.
        resume: go on with what `output` holds.
        progress: receives stages and messages; by default a bar in a terminal or notebook, None for silence.
        changes: fields of `DistillSettings`, such as `budget="5m"`.

    Raises:
        InputError: bad text, settings or folder, or a model that is no committee of so many trained members.
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
    """
    source = corpus_source(corpus, text_column, encoding, documents, data_dir)
    step = Distill(
        Path(model), corpus=source, members=members, settings=changed(settings or DistillSettings(), changes)
    )
    return step.run(output, resume=resume, progress=listener(progress))
