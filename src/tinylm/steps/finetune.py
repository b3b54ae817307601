"""Fine-tuning: pre-trained members and labels to a committee."""

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy.typing as npt
from cyclopts import Parameter

from tinylm.committee.files import member_names, write_committee
from tinylm.committee.mixing import NgramVote
from tinylm.committee.voting import Vote, Voting
from tinylm.core.errors import InputError
from tinylm.core.problems import SEVERAL_LABELS
from tinylm.core.progress import Progress, Reporting, Silent
from tinylm.core.runs import claim
from tinylm.core.terminal import listener
from tinylm.evaluation.out_of_fold import thresholds_out_of_fold
from tinylm.model.config import ModelConfig
from tinylm.model.layout import read_config
from tinylm.model.ngrams import NGRAMS
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.loading import load
from tinylm.steps.base import (
    PRETRAINED,
    Base,
    changed,
    open_base,
    output_folder,
    pending_members,
    require_members,
    require_one_process,
    require_training,
    weights_fingerprints,
)
from tinylm.steps.continuing import member_settings_of, notes_on, open_started, voting_of
from tinylm.steps.flags import FINETUNING, TASK
from tinylm.steps.search import search_mix
from tinylm.steps.side_by_side import run_side_by_side
from tinylm.text.known import as_written
from tinylm.text.memory import Frame, task_in_memory, task_of_frame
from tinylm.text.sources import TaskSource
from tinylm.text.splits import Task
from tinylm.tokens.encoding import UNKNOWN, unknown_share
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.marks import recurring_marks
from tinylm.tokens.windows import MOST_WINDOWS, Long, count_longer, not_read
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.settings import FinetuneSettings
from tinylm.train.weights import weights_of, with_sample_weight

Head = Literal["finetune", "frozen"]
_OF_FROZEN_HEADS = ("seed", "validation_fraction")
"""Settings that a frozen head knows."""


@dataclass(frozen=True)
class Finetune:
    """Fine-tune pre-trained members to labels, each by itself, and let them vote.

    Raises:
        InputError: no member is to be used, or there is not one of base and start_from.
    """

    base: Path | None = None
    """Folder that `tinylm pretrain` or `tinylm train` wrote, or any BERT in Hugging Face's layout."""
    _: KW_ONLY
    task: Annotated[TaskSource, TASK]
    """The labelled text; its test part is not used."""
    start_from: Annotated[Path | None, Parameter(name=("--start-from", "--from"))] = None
    """Folder of a fine-tuned model, in place of a base: its members go on, with the weights of the labels that the task
    has too; others are new, or forgotten. How members differ and vote stays as it was."""
    members: int | None = None
    """How many of the pre-trained members to use; all by default."""
    vote: Vote = "probability"
    """Average the members' probabilities, or their logits."""
    head: Head = "finetune"
    """Train members whole, or keep their encoders frozen and fit a linear head on their vectors, which takes a moment;
    docs/SCIKIT_LEARN.md says when to use which."""
    settings: Annotated[FinetuneSettings, FINETUNING] = field(default_factory=FinetuneSettings)
    """How to train."""

    def __post_init__(self) -> None:
        if self.members is not None:
            require_members(self.members)
        if (self.base is None) == (self.start_from is None):
            given = "neither is" if self.base is None else "both are"
            raise InputError(
                f"members start from a pre-trained base or from a fine-tuned model, and {given} given; "
                "give the folder of a base, or that of a model with --start-from"
            )
        if self.head == "frozen":
            own = {name: getattr(self.settings, name) for name in _OF_FROZEN_HEADS}
            if self.settings != FinetuneSettings(**own):
                raise InputError(
                    f"a frozen head has no other settings than {' and '.join(_OF_FROZEN_HEADS)}; leave the others out"
                )
            if self.base is None:
                raise InputError("a frozen head is fitted to pre-trained members; give the folder of a base")

    def _require_whole_members(self, task: Task) -> None:
        """Refuse what knows one label a text alone."""
        if self.head == "frozen":
            raise InputError(f"{task.name} has several labels a text, and a frozen head gives one; leave head out")
        if self.start_from is not None:
            raise InputError(f"{task.name} has several labels a text, and these are learnt from a base; give one")

    def record(self, base: Base, task: Task) -> dict[str, Any]:
        """What decides the weights of a member, as JSON; how they vote may be changed later."""
        head = {} if self.head == "finetune" else {"head": self.head}
        start = "base" if self.start_from is None else "start_from"
        return head | {
            start: str(base.folder.absolute()),
            f"{start}_fingerprints": weights_fingerprints(base.members),
            "task": task.name,
            "task_fingerprint": task.fingerprint,
            "task_source": task.source,
            "settings": asdict(self.settings),
        }

    def run(
        self,
        output: str | Path | None,
        *,
        task: Task | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Classifier:
        """Fine-tune the members that are not finished yet, and open the committee.

        Args:
            output: folder to write; one in tinylm's cache when None, which is then resumed.
            task: the labelled text, where it was read already.
            resume: go on with what `output` holds.
            progress: receives stages and messages.

        Raises:
            InputError: bad text or folder.
            InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
            DivergedError: the loss exploded.
        """
        require_training("tinylm.finetune")
        require_one_process()
        task = task or self.task.load(self.settings.seed)
        if task.problem_type == SEVERAL_LABELS:
            self._require_whole_members(task)
        # Weights that do not fit the task are refused before anything is written.
        weighed = weights_of(task, self.settings.class_weight) is not None
        if weighed and self.head == "frozen":
            raise InputError("a frozen head knows no weights of texts; leave them out, or fine-tune")
        base = (open_base(self.base) if self.base else open_started(self.start_from or Path())).first(self.members)
        record = self.record(base, task)
        folder = output_folder(output, "models", record)
        claim(folder, record, resume=resume or output is None, may_hold=(PRETRAINED,))
        progress = progress or Silent()
        for note in task.notes:
            progress.say(note)
        if self.head == "frozen":
            return fit_frozen_heads(folder, base.members, task, self.settings, self.vote, progress)
        if self.start_from is None:
            return finetune_committee(folder, base.members, task, self.settings, self.vote, progress)
        for note in notes_on(self.start_from, read_config(base.members[0])[1], task):
            progress.say(note)
        return continue_committee(folder, base.members, task, self.settings, voting_of(self.start_from), progress)


def fit_frozen_heads(
    folder: Path, members: Sequence[Path], task: Task, settings: FinetuneSettings, vote: Vote, progress: Progress
) -> Classifier:
    """Fit a linear head on each member as it was pre-trained, unless it is there, and make them a committee.

    The arguments are those of `finetune_committee`; of the settings only seed and validation_fraction count.
    """
    from tinylm.train.frozen import fit_frozen_member

    pending = list(pending_members(folder, len(members), "fitted", progress))
    progress.start("fitting heads", len(pending), "members")
    for done, (index, target) in enumerate(pending, start=1):
        held_out = settings.validation_fraction
        head = fit_frozen_member(target, index, members[index], task, seed=settings.seed, held_out=held_out)
        progress.say(f"member {index}: a head on frozen vectors, inverse penalty {head.penalty:g}")
        progress.update(done)
    progress.finish()
    write_committee(folder, member_names(len(members)), task.labels, Voting(vote))
    return load(folder)


def finetune_committee(
    folder: Path,
    members: Sequence[Path],
    task: Task,
    settings: FinetuneSettings,
    vote: Vote,
    progress: Progress,
    *,
    from_scratch: bool = False,
) -> Classifier:
    """Fine-tune each member into `folder`, unless it is there, and make them a committee.

    Args:
        folder: where they go.
        members: folders of pre-trained members.
        task: what to learn.
        settings: how.
        vote: how they vote.
        progress: receives stages and messages.
        from_scratch: keep of a member only its shape and vocabulary, and draw its weights anew.
    """
    from tinylm.train.finetune import shape_of
    from tinylm.train.variants import IN_TURN, member_settings, members_differ

    starts = [read_config(member)[0] if from_scratch else member for member in members]
    tokenizers = _tokenizers(members, task, progress)
    _say_what_is_read(shape_of(starts[0]).positions, tokenizers[0], task, settings.long, progress)
    kinds, voting, ngrams = IN_TURN, Voting(vote, problem_type=task.problem_type), None
    if settings.search and members_differ(settings):
        mix = search_mix(folder, starts, tokenizers, task, settings, vote, progress)
        kinds, ngrams = mix.kinds, mix.ngrams
        share = ngrams.weight if ngrams else 0.0
        voting = Voting(vote, mix.temperature, share, task.problem_type, mix.thresholds)
    each = [member_settings(settings, index, kinds) for index in range(len(members))]
    what = "fine-tuning from scratch" if from_scratch else "fine-tuning"
    return _finetune_all(folder, starts, tokenizers, task, each, (voting, ngrams), what, progress)


def continue_committee(
    folder: Path,
    members: Sequence[Path],
    task: Task,
    settings: FinetuneSettings,
    vote: tuple[Voting, NgramVote | None],
    progress: Progress,
) -> Classifier:
    """Go on with fine-tuned members into `folder`; nothing is searched for, since they know some of these texts.

    Args:
        folder: where they go.
        members: folders of fine-tuned members.
        task: what to learn.
        settings: how.
        vote: how they vote, and how the n-gram classifier that votes with them is fitted, if there is one.
        progress: receives stages and messages.
    """
    tokenizers = _tokenizers(members, task, progress)
    each = [member_settings_of(member, settings) for member in members]
    return _finetune_all(folder, members, tokenizers, task, each, vote, "fine-tuning further", progress)


def _tokenizers(members: Sequence[Path], task: Task, progress: Progress) -> list[Tokenizer]:
    """Their vocabularies, with a piece for each mark that recurs in the texts."""
    tokenizers = [load_tokenizer(member) for member in members]
    if (unknown := unknown_share(tokenizers[0], task.train.texts)) > UNKNOWN:
        progress.say(
            f"warning: {unknown:.1%} of the tokens of {task.name} are [UNK] to the vocabulary of {members[0]}; "
            "was the base pre-trained on another language?"
        )
    if marks := recurring_marks(tokenizers[0], task.train.texts):
        progress.say(f"marks in the texts, each taken as one piece: {' '.join(marks)}")
        tokenizers = [tokenizer.extended(marks) for tokenizer in tokenizers]
    return tokenizers


def _finetune_all(
    folder: Path,
    starts: Sequence[Path | ModelConfig],
    tokenizers: Sequence[Tokenizer],
    task: Task,
    settings: Sequence[FinetuneSettings],
    vote: tuple[Voting, NgramVote | None],
    what: str,
    progress: Progress,
) -> Classifier:
    """Fine-tune the members that are not there yet, each with settings of its own, and write the committee."""
    from tinylm.train.finetune import is_short, shape_of
    from tinylm.train.ngrams import fit_ngram_classifier

    voting, ngrams = vote
    jobs = [
        partial(_finetune, target, index, starts[index], tokenizers[index], task, settings[index])
        for index, target in pending_members(folder, len(starts), "fine-tuned", progress)
    ]
    short = is_short(settings[0], len(task.train), len(jobs))
    run_side_by_side(what, "members", jobs, progress, short=short)
    # One that is there was fitted to the same labels: a run that is resumed has the same record.
    if ngrams is not None and not (folder / NGRAMS).is_file():
        weights, first = weights_of(task, settings[0].class_weight), settings[0]
        fitted = fit_ngram_classifier(
            shape_of(starts[0]), tokenizers[0], task, ngrams, first.seed, first.long, weights=weights
        )
        fitted.save(folder)
    write_committee(folder, member_names(len(starts)), task.labels, voting, settings[0].long)
    if voting.several and not voting.thresholds:
        fraction, seed = settings[0].validation_fraction, settings[0].seed
        voting = replace(voting, thresholds=thresholds_out_of_fold(load(folder), task, fraction, seed))
        write_committee(folder, member_names(len(starts)), task.labels, voting, settings[0].long)
    return load(folder)


def _say_what_is_read(length: int, tokenizer: Tokenizer, task: Task, long: Long, progress: Progress) -> None:
    longer, texts = count_longer(task.train.texts, tokenizer, length - 2), len(task.train)
    if long == "truncate":
        read = not_read(longer, texts, length, long)
    else:
        if longer:
            progress.say(f"{longer:,} of {texts:,} texts are longer than {length} tokens, and are read in windows")
        cut = count_longer(task.train.texts, tokenizer, MOST_WINDOWS * (length - 2))
        read = not_read(cut, texts, length, long)
    if read:
        progress.say(read)


def _finetune(
    folder: Path,
    index: int,
    start: Path | ModelConfig,
    tokenizer: Tokenizer,
    task: Task,
    settings: FinetuneSettings,
    progress: Progress,
) -> None:
    from tinylm.train.distributed import join_processes
    from tinylm.train.finetune import finetune_member

    finetune_member(folder, index, start, tokenizer, task, settings, join_processes(), progress)


def finetune(
    base: Base | str | Path | None = None,
    task: Task | TaskSource | str | Path | Frame | None = None,
    *,
    texts: Iterable[str] | None = None,
    labels: Iterable[Any] | None = None,
    sample_weight: npt.ArrayLike | None = None,
    start_from: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    output: str | Path | None = None,
    members: int | None = None,
    data_dir: str | Path | None = None,
    vote: Vote = "probability",
    head: Head = "finetune",
    settings: FinetuneSettings | None = None,
    resume: bool = False,
    progress: Reporting = "auto",
    **changes: Any,
) -> Classifier:
    """Fine-tune pre-trained members to labels; see `Finetune`, whose fields the arguments are.

    Args:
        base: what `pretrain` returned or wrote, or the folder of one BERT in Hugging Face's layout.
        task: the labelled text: a file, folder or name, or a table in memory, which is whatever has `table[column]`. A
            table in memory is trained on whole; the test part of others is not used.
        texts: the texts, where they are in memory by themselves: any iterable of strings; all are trained on.
        labels: their labels: names, numbers or truth values.
        sample_weight: how much each row in memory counts, as in scikit-learn; for a file, name the `weight_column` of a
            `TaskSource`.
        start_from: folder of a fine-tuned model whose members go on, in place of a base.
        text_column: column of the text in `task`; found by the usual names when None.
        label_column: column of the label in `task`; likewise.
        output: folder to write; one in tinylm's cache, named by the settings, when None (and then resumed).
        members: how many of the base's members to use; all when None.
        data_dir: where data sets known by name are looked for.
        vote: `probability` averages the members' probabilities, `logit` their logits.
        head: `finetune` trains members whole; `frozen` fits a linear head on their vectors, which takes a moment.
        settings: how to train.
        resume: go on with what `output` holds.
        progress: receives stages and messages; by default a bar in a terminal or notebook, None for silence.
        changes: fields of `FinetuneSettings`, such as `epochs=5`.

    Raises:
        InputError: bad text, settings or folder.
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
    """
    source, loaded = _labelled(task, texts, labels, text_column, label_column, data_dir)
    if sample_weight is not None:
        if loaded is None:
            raise InputError("sample_weight is of rows in memory; name the column of a file as weight_column")
        loaded = with_sample_weight(loaded, sample_weight)
    step = Finetune(
        base.folder if isinstance(base, Base) else None if base is None else Path(base),
        task=source,
        start_from=None if start_from is None else Path(start_from),
        members=len(base.members) if members is None and isinstance(base, Base) else members,
        vote=vote,
        head=head,
        settings=changed(settings or FinetuneSettings(), changes),
    )
    return step.run(output, task=loaded, resume=resume, progress=listener(progress))


def _labelled(
    task: Task | TaskSource | str | Path | Frame | None,
    texts: Iterable[str] | None,
    labels: Iterable[Any] | None,
    text_column: str | None,
    label_column: str | None,
    data_dir: str | Path | None,
) -> tuple[TaskSource, Task | None]:
    """The labelled text as a source, and as a task where it is in memory."""
    columns = {"text_column": text_column, "label_column": label_column}
    named: dict[str, Any] = {name: column for name, column in columns.items() if column is not None}
    if texts is not None or labels is not None:
        if task is not None or texts is None or labels is None or named:
            raise InputError("labelled text is one of a task and texts with labels; give `task`, or both of the others")
        loaded = task_in_memory(texts, labels)
    elif isinstance(task, TaskSource | str | Path):
        return replace(task_source(task, data_dir), **named), None
    elif isinstance(task, Task):
        if named:
            raise InputError("a task that was read already has no columns; leave text_column and label_column out")
        loaded = task
    elif task is None or not hasattr(task, "__getitem__"):
        raise InputError("there is no labelled text; give a file, a table, or texts=... and labels=...")
    else:
        loaded = task_of_frame(task, text_column, label_column)
    return TaskSource(loaded.name), loaded


def task_source(task: TaskSource | str | Path, data_dir: str | Path | None) -> TaskSource:
    """Labelled text as a `TaskSource`, with the folder of data sets where one is given."""
    source = task if isinstance(task, TaskSource) else TaskSource(as_written(task))
    return source if data_dir is None else replace(source, data_dir=str(data_dir))
