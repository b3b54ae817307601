"""Pre-training: unlabelled text to the pre-trained members of a committee."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from tinylm.core.errors import InputError
from tinylm.core.files import new_folder
from tinylm.core.progress import Progress, Reporting, Silent
from tinylm.core.runs import claim
from tinylm.core.terminal import listener
from tinylm.model.config import DEFAULT_PRESET, ModelConfig
from tinylm.model.config import preset as preset_shape
from tinylm.steps.base import (
    Base,
    changed,
    open_base,
    output_folder,
    pending_members,
    require_members,
    require_training,
)
from tinylm.steps.flags import CORPUS, MEMBERS, NO_FLAG, PRETRAINING
from tinylm.steps.side_by_side import run_side_by_side
from tinylm.text.corpus import Corpus, CorpusSource
from tinylm.text.lines import UTF_8
from tinylm.text.memory import Frame, corpus_source
from tinylm.tokens.encoding import UNKNOWN, tokenise
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.scripts import Accents, Case, require_choices
from tinylm.tokens.token_file import TokenFile
from tinylm.tokens.vocabulary import train_tokenizer
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.settings import PretrainSettings


@dataclass(frozen=True, kw_only=True)
class Pretrain:
    """Pre-train the members of a committee on unlabelled text, each with weights, order and masks of its own.

    Raises:
        InputError: no member, or a preset that does not exist.
    """

    corpus: Annotated[CorpusSource, CORPUS]
    """The text."""
    members: Annotated[int, MEMBERS] = 2
    """Members of the committee."""
    preset: Annotated[str, MEMBERS] = DEFAULT_PRESET
    """Shape of the members; several names, with commas between them, take turns."""
    vocabulary: Annotated[str | None, MEMBERS] = None
    """A vocabulary to use, such as bert-base-uncased, or a folder; trained on the corpus by default."""
    case: Annotated[Case, MEMBERS] = "fold"
    """Of a vocabulary that is trained: fold makes upper case lower, keep tells them apart."""
    accents: Annotated[Accents, MEMBERS] = "keep"
    """Of a vocabulary that is trained: strip takes accents, and vowel signs and tone marks too, from their letters."""
    settings: Annotated[PretrainSettings, PRETRAINING] = field(default_factory=PretrainSettings)
    """How to train."""
    objectives: Annotated[tuple[Callable[..., Any], ...], NO_FLAG] = ()
    """Further objectives, each made of the token statistics; see `train.objectives.base`."""

    def __post_init__(self) -> None:
        require_members(self.members)
        _ = self.shapes
        require_choices(self.case, self.accents)
        if self.vocabulary is not None and (self.case, self.accents) != (Pretrain.case, Pretrain.accents):
            raise InputError(
                f"the vocabulary {self.vocabulary} stays as it is; leave out --case and --accents, or --vocabulary to "
                "train one"
            )

    @property
    def shapes(self) -> list[ModelConfig]:
        """The shapes that take turns."""
        return [preset_shape(name) for name in self._presets]

    @property
    def _presets(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.preset.split(","))

    def record(self, corpus: Corpus) -> dict[str, Any]:
        """What decides the weights of a member, as JSON; the number of members may be raised later."""
        record: dict[str, Any] = {
            "corpus": corpus.name,
            "corpus_fingerprint": corpus.fingerprint,
            "presets": self._presets,
            "vocabulary": self.vocabulary,
            "settings": asdict(self.settings),
        }
        if self.vocabulary is None:
            record |= {"case": self.case, "accents": self.accents}
        if self.objectives:
            record["objectives"] = [f"{made.__module__}.{made.__qualname__}" for made in self.objectives]
        return record

    def run(self, output: str | Path | None, *, resume: bool = False, progress: Progress | None = None) -> Base:
        """Pre-train the members that are not finished yet.

        Args:
            output: folder to write; one in tinylm's cache when None, which is then resumed.
            resume: go on with what `output` holds.
            progress: receives stages and messages.

        Raises:
            InputError: bad text or folder.
            InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
            DivergedError: the loss exploded.
        """
        require_training("tinylm.pretrain")
        from tinylm.train.distributed import join_processes

        processes = join_processes()
        progress = progress if processes.is_main and progress else Silent()
        corpus = self.corpus.open(self.settings.seed, progress)
        _require_two_documents(corpus)
        record = self.record(corpus)
        folder = output_folder(output, "bases", record)
        with processes.main_process_first():
            claim(folder, record, resume=resume or output is None or not processes.is_main)
        shapes, jobs = self.shapes, []
        for index, target in pending_members(folder, self.members, "pre-trained", progress):
            shape = shapes[index % len(shapes)]
            with processes.main_process_first():
                tokenizer = self._tokenizer(folder, corpus, shape, progress)
                tokens = tokenise(corpus, tokenizer, progress=progress)
                if self.vocabulary is not None and tokens.meta.unknown_share > UNKNOWN:
                    progress.say("leave out --vocabulary, and one is trained on this text")
            shape = replace(shape, vocab_size=tokenizer.vocab_size)
            jobs.append(partial(_pretrain, target, index, shape, tokens, tokenizer, self.settings, self.objectives))
        run_side_by_side("pre-training", "members", jobs, progress, short=self.settings.is_short)
        return open_base(folder).first(self.members)

    def _tokenizer(self, folder: Path, corpus: Corpus, shape: ModelConfig, progress: Progress) -> Tokenizer:
        if self.vocabulary is not None:
            return load_tokenizer(self.vocabulary, self.corpus.data_dir)
        kept = folder / f"vocabulary-{shape.vocab_size}"
        if not kept.is_dir():
            documents, size = corpus.documents(), shape.vocab_size
            tokenizer = train_tokenizer(documents, size, case=self.case, accents=self.accents, progress=progress)
            with new_folder(kept) as temporary:
                tokenizer.save(temporary)
        return load_tokenizer(kept)


def pretrain(
    corpus: str | Path | Corpus | CorpusSource | Frame | Iterable[str],
    *,
    output: str | Path | None = None,
    members: int = Pretrain.members,
    preset: str | Sequence[str] = Pretrain.preset,
    vocabulary: str | Path | None = None,
    case: Case = Pretrain.case,
    accents: Accents = Pretrain.accents,
    objectives: Sequence[Callable[..., Any]] = (),
    documents: int | None = None,
    text_column: str | None = None,
    encoding: str = UTF_8,
    data_dir: str | Path | None = None,
    settings: PretrainSettings | None = None,
    resume: bool = False,
    progress: Reporting = "auto",
    **changes: Any,
) -> Base:
    """Pre-train the members of a committee; see `Pretrain`, whose fields the arguments are.

    Args:
        corpus: the text; a file, folder, glob, hub data set, or a `CorpusSource`; in memory any iterable of texts, such
            as a list or a column of a table, or a table itself.
        output: folder to write; one in tinylm's cache, named by the settings, when None (and then resumed).
        members: how many.
        preset: shape of the members, by name; several names take turns.
        vocabulary: a vocabulary to use, see `load_tokenizer`; trained on the corpus when None.
        case: of a vocabulary that is trained, `fold` or `keep`.
        accents: of a vocabulary that is trained, `keep` or `strip`; see `train_tokenizer`.
        objectives: further objectives.
        documents: how many documents to use, drawn by seed; all when None.
        text_column: the column of the text; found by the usual names when None.
        encoding: of files that are text.
        data_dir: where data sets and vocabularies known by name are looked for.
        settings: how to train.
        resume: go on with what `output` holds.
        progress: receives stages and messages; by default a bar in a terminal or notebook, None for silence.
        changes: fields of `PretrainSettings`, such as `budget="20m"`.

    Raises:
        InputError: bad text, settings or folder.
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
    """
    step = Pretrain(
        corpus=corpus_source(corpus, text_column, encoding, documents, data_dir),
        members=members,
        preset=preset if isinstance(preset, str) else ",".join(preset),
        vocabulary=None if vocabulary is None else str(vocabulary),
        case=case,
        accents=accents,
        settings=changed(settings or PretrainSettings(), changes),
        objectives=tuple(objectives),
    )
    return step.run(output, resume=resume, progress=listener(progress))


def _pretrain(
    folder: Path,
    index: int,
    shape: ModelConfig,
    tokens: TokenFile,
    tokenizer: Tokenizer,
    settings: PretrainSettings,
    objectives: Sequence[Callable[..., Any]],
    progress: Progress,
) -> None:
    from tinylm.train.distributed import join_processes
    from tinylm.train.pretrain import pretrain_member

    pretrain_member(folder, index, shape, tokens, tokenizer, settings, join_processes(), progress, objectives)


def _require_two_documents(corpus: Corpus) -> None:
    if len(list(islice(corpus.documents(), 2))) < 2:
        raise InputError(
            f"{corpus.name} has one document only, and 2 are needed to train and validate; "
            "give more text, or one document a line"
        )
