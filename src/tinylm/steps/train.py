"""Pre-training and fine-tuning in one: text and labels to a committee."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from tinylm.committee.voting import Vote
from tinylm.core.progress import Progress
from tinylm.core.runs import is_free
from tinylm.runtime.classifier import Classifier
from tinylm.steps.base import PRETRAINED, require_one_process, require_training
from tinylm.steps.finetune import Finetune
from tinylm.steps.flags import FINETUNING_APART, FLAT, TASK
from tinylm.steps.pretrain import Pretrain
from tinylm.text.sources import TaskSource
from tinylm.text.splits import Task
from tinylm.train.settings import FinetuneSettings
from tinylm.train.weights import weights_of


@dataclass(frozen=True, kw_only=True)
class Train:
    """Pre-train members on a corpus into `pretrained` of the output folder, and fine-tune them into that folder."""

    pretrain: Annotated[Pretrain, FLAT]
    """The members and how they are pre-trained."""
    task: Annotated[TaskSource, TASK]
    """The labelled text; its test part is not used."""
    vote: Vote = "probability"
    """Average the members' probabilities, or their logits."""
    finetune: Annotated[FinetuneSettings, FINETUNING_APART] = field(default_factory=FinetuneSettings)
    """How they are fine-tuned."""

    def __post_init__(self) -> None:
        # One folder of data sets is enough for both.
        data_dir = self.pretrain.corpus.data_dir
        if self.task.data_dir is None and data_dir is not None:
            object.__setattr__(self, "task", replace(self.task, data_dir=str(data_dir)))

    def run(
        self,
        output: str | Path,
        *,
        task: Task | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Classifier:
        """Do both steps; the task is read first, so that what is wrong with it is reported at once.

        Args:
            output: folder to write.
            task: the labelled text, where it was read already.
            resume: go on with what it holds.
            progress: receives stages and messages.

        Raises:
            InputError: bad text or folder.
            InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
            DivergedError: the loss exploded.
        """
        require_training("tinylm.train")
        require_one_process()
        output = Path(output)
        task = task or self.task.load(self.finetune.seed)
        weights_of(task, self.finetune.class_weight)
        is_free(output, resume=resume, may_hold=(PRETRAINED,))
        base = self.pretrain.run(output / PRETRAINED, resume=resume, progress=progress)
        step = Finetune(base.folder, task=self.task, members=len(base.members), vote=self.vote, settings=self.finetune)
        return step.run(output, task=task, resume=resume, progress=progress)
