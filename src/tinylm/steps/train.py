"""Pre-training and fine-tuning in one: text and labels to a committee."""

from dataclasses import dataclass, field
from pathlib import Path

from tinylm.committee.voting import Vote
from tinylm.core.progress import Progress
from tinylm.core.runs import is_free
from tinylm.runtime.classifier import Classifier
from tinylm.steps.base import PRETRAINED, require_one_process
from tinylm.steps.finetune import Finetune
from tinylm.steps.pretrain import Pretrain
from tinylm.text.sources import TaskSource
from tinylm.text.splits import Task
from tinylm.train.settings import FinetuneSettings


@dataclass(frozen=True, kw_only=True)
class Train:
    """Pre-train members on a corpus into `pretrained` of the output folder, and fine-tune them into that folder."""

    pretrain: Pretrain
    """The members and how they are pre-trained."""
    task: TaskSource | Task
    """The labelled text; its test part is not used."""
    vote: Vote = "probability"
    """Average the members' probabilities, or their logits."""
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    """How they are fine-tuned."""

    def run(self, output: str | Path, *, resume: bool = False, progress: Progress | None = None) -> Classifier:
        """Do both steps; the task is read first, so that what is wrong with it is reported at once.

        Args:
            output: folder to write.
            resume: go on with what it holds.
            progress: receives stages and messages.

        Raises:
            InputError: bad text or folder.
            InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
            DivergedError: the loss exploded.
        """
        require_one_process()
        output = Path(output)
        task = self.task if isinstance(self.task, Task) else self.task.load(self.finetune.seed)
        is_free(output, resume=resume, may_hold=(PRETRAINED,))
        base = self.pretrain.run(output / PRETRAINED, resume=resume, progress=progress)
        step = Finetune(base=base, task=task, vote=self.vote, settings=self.finetune)
        return step.run(output, resume=resume, progress=progress)
