"""Fine-tuning: pre-trained members and labels to a committee."""

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from tinylm.committee.files import member_names, write_committee
from tinylm.committee.voting import Vote, Voting
from tinylm.core.errors import InputError
from tinylm.core.progress import Progress, Reporting, Silent
from tinylm.core.runs import claim
from tinylm.core.terminal import listener
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
from tinylm.steps.flags import FINETUNING, TASK
from tinylm.steps.search import search_mix
from tinylm.steps.side_by_side import run_side_by_side
from tinylm.text.known import as_written
from tinylm.text.memory import Frame, task_in_memory, task_of_frame
from tinylm.text.sources import TaskSource
from tinylm.text.splits import Task
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.marks import recurring_marks
from tinylm.tokens.windows import MOST_WINDOWS, Long, count_longer, not_read
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.settings import FinetuneSettings

Head = Literal["finetune", "frozen"]
_OF_FROZEN_HEADS = ("seed", "validation_fraction")
"""Settings that a frozen head knows."""


@dataclass(frozen=True)
class Finetune:
    """Fine-tune pre-trained members to labels, each by itself, and let them vote.

    Raises:
        InputError: no member is to be used.
    """

    base: Path
    """Folder that `tinylm pretrain` or `tinylm train` wrote, or any BERT in Hugging Face's layout."""
    _: KW_ONLY
    task: Annotated[TaskSource, TASK]
    """The labelled text; its test part is not used."""
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
        if self.head == "frozen":
            own = {name: getattr(self.settings, name) for name in _OF_FROZEN_HEADS}
            if self.settings != FinetuneSettings(**own):
                raise InputError(
                    f"a frozen head has no other settings than {' and '.join(_OF_FROZEN_HEADS)}; leave the others out"
                )

    def record(self, base: Base, task: Task) -> dict[str, Any]:
        """What decides the weights of a member, as JSON; how they vote may be changed later."""
        head = {} if self.head == "finetune" else {"head": self.head}
        return head | {
            "base": str(base.folder.absolute()),
            "base_fingerprints": weights_fingerprints(base.members),
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
        base = open_base(self.base).first(self.members)
        task = task or self.task.load(self.settings.seed)
        record = self.record(base, task)
        folder = output_folder(output, "models", record)
        claim(folder, record, resume=resume or output is None, may_hold=(PRETRAINED,))
        progress = progress or Silent()
        for note in task.notes:
            progress.say(note)
        if self.head == "frozen":
            return fit_frozen_heads(folder, base.members, task, self.settings, self.vote, progress)
        return finetune_committee(folder, base.members, task, self.settings, self.vote, progress)


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
    from tinylm.train.finetune import is_short, shape_of
    from tinylm.train.ngrams import fit_ngram_classifier
    from tinylm.train.variants import IN_TURN, member_settings, members_differ

    starts = [read_config(member)[0] if from_scratch else member for member in members]
    tokenizers = [load_tokenizer(member) for member in members]
    if marks := recurring_marks(tokenizers[0], task.train.texts):
        progress.say(f"marks in the texts, each taken as one piece: {' '.join(marks)}")
        tokenizers = [tokenizer.extended(marks) for tokenizer in tokenizers]
    _say_what_is_read(shape_of(starts[0]).positions, tokenizers[0], task, settings.long, progress)
    kinds, voting, ngrams = IN_TURN, Voting(vote), None
    if settings.search and members_differ(settings):
        mix = search_mix(folder, starts, tokenizers, task, settings, vote, progress)
        kinds, ngrams = mix.kinds, mix.ngrams
        voting = Voting(vote, mix.temperature, ngrams.weight if ngrams else 0.0)
    of_member = partial(member_settings, settings, kinds=kinds)
    jobs = [
        partial(_finetune, target, index, starts[index], tokenizers[index], task, of_member(index))
        for index, target in pending_members(folder, len(members), "fine-tuned", progress)
    ]
    what = "fine-tuning from scratch" if from_scratch else "fine-tuning"
    run_side_by_side(what, "members", jobs, progress, short=is_short(settings, len(task.train), len(jobs)))
    # One that is there was fitted to the same labels: a run that is resumed has the same record.
    if ngrams is not None and not (folder / NGRAMS).is_file():
        fit_ngram_classifier(shape_of(starts[0]), tokenizers[0], task, ngrams, settings.seed, settings.long).save(
            folder
        )
    write_committee(folder, member_names(len(members)), task.labels, voting, settings.long)
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
    base: Base | str | Path,
    task: Task | TaskSource | str | Path | Frame | None = None,
    *,
    texts: Iterable[str] | None = None,
    labels: Iterable[Any] | None = None,
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
    step = Finetune(
        base.folder if isinstance(base, Base) else Path(base),
        task=source,
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
