"""Fine-tuning: pre-trained members and labels to a committee."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy.typing as npt
from cyclopts import Parameter

from tinylm.committee.voting import Vote
from tinylm.core.errors import InputError
from tinylm.core.problems import SEVERAL_LABELS
from tinylm.core.progress import Progress, Reporting, Silent
from tinylm.core.runs import claim
from tinylm.core.terminal import listener
from tinylm.model.layout import read_config
from tinylm.runtime.classifier import Classifier
from tinylm.steps.base import (
    PRETRAINED,
    Base,
    changed,
    open_base,
    output_folder,
    require_members,
    require_one_process,
    require_training,
    weights_fingerprints,
)
from tinylm.steps.committees import continue_committee, finetune_committee, fit_frozen_heads
from tinylm.steps.continuing import notes_on, open_started, task_to_go_on_with, voting_of
from tinylm.steps.flags import FINETUNING, TASK
from tinylm.text.known import as_written
from tinylm.text.memory import Frame, labelled_columns, task_in_memory
from tinylm.text.sources import TaskSource
from tinylm.text.splits import Task
from tinylm.train.settings import FinetuneSettings
from tinylm.train.weights import weights_of, with_sample_weight

Head = Literal["finetune", "frozen"]
_OF_FROZEN_HEADS = ("seed", "search", "validation_fraction", "long")
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
    n-grams vote with either. docs/SCIKIT_LEARN.md says when to use which."""
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
                known = f"{', '.join(_OF_FROZEN_HEADS[:-1])} and {_OF_FROZEN_HEADS[-1]}"
                raise InputError(f"a frozen head has no other settings than {known}; leave the others out")
            if self.base is None:
                raise InputError("a frozen head is fitted to pre-trained members; give the folder of a base")

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
        if task.problem_type == SEVERAL_LABELS and self.head == "frozen":
            raise InputError(f"{task.name} has several labels a text, and a frozen head gives one; leave head out")
        started = None if self.start_from is None else open_started(self.start_from)
        if started is not None:
            task = task_to_go_on_with(started, task)
        # Weights that do not fit the task are refused before anything is written.
        weighed = weights_of(task, self.settings.class_weight) is not None
        if weighed and self.head == "frozen":
            raise InputError("a frozen head knows no weights of texts; leave them out, or fine-tune")
        base = (started or open_base(self.base or Path())).first(self.members)
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
    if isinstance(task, Task) and texts is None and labels is None:
        if text_column is not None or label_column is not None:
            raise InputError("a task that was read already has no columns; leave text_column and label_column out")
        loaded = task
    else:
        found = source_or_columns(task, texts, labels, text_column, label_column, data_dir)
        if isinstance(found, TaskSource):
            return found, None
        loaded = task_in_memory(*found)
    return TaskSource(loaded.name), loaded


def source_or_columns(
    task: Task | TaskSource | str | Path | Frame | None,
    texts: Iterable[str] | None,
    labels: Iterable[Any] | None,
    text_column: str | None,
    label_column: str | None,
    data_dir: str | Path | None,
) -> TaskSource | tuple[Any, Any]:
    """Labelled text as a source, or as texts and labels where they are in memory; see `finetune` for the arguments.

    Raises:
        InputError: there is none, more than one of these, or no such column in a table in memory.
    """
    columns = {"text_column": text_column, "label_column": label_column}
    named: dict[str, Any] = {name: column for name, column in columns.items() if column is not None}
    if texts is not None or labels is not None:
        if task is not None or texts is None or labels is None or named:
            raise InputError("labelled text is one of a task and texts with labels; give `task`, or both of the others")
        return texts, labels
    if isinstance(task, TaskSource | str | Path):
        return replace(task_source(task, data_dir), **named)
    if task is None or not hasattr(task, "__getitem__"):
        raise InputError("there is no labelled text; give a file, a table, or texts=... and labels=...")
    return labelled_columns(task, text_column, label_column)


def task_source(task: TaskSource | str | Path, data_dir: str | Path | None) -> TaskSource:
    """Labelled text as a `TaskSource`, with the folder of data sets where one is given."""
    source = task if isinstance(task, TaskSource) else TaskSource(as_written(task))
    return source if data_dir is None else replace(source, data_dir=str(data_dir))
