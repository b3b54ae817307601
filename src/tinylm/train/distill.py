"""Distillation: one member learns to answer as its committee does (Hinton et al., 2015), on text without labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinylm.core.problems import SEVERAL_LABELS
from tinylm.core.progress import Progress
from tinylm.model.checkpoint import load_classifier
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.sequences import split_documents
from tinylm.train.classification import Classification, WindowedTexts, train_classifier
from tinylm.train.distributed import DistributedContext
from tinylm.train.finetune import default_learning_rate
from tinylm.train.settings import DistillSettings

_UPDATES = 3000


def distill_member(
    folder: Path,
    index: int,
    start: Path,
    texts: EncodedTexts,
    targets: npt.NDArray[np.float32],
    settings: DistillSettings,
    processes: DistributedContext,
    progress: Progress,
) -> None:
    """Teach one member into `folder`, going on from its checkpoint where there is one.

    All members read the texts in the same order; they differ in where they start.

    Args:
        folder: where the finished model goes.
        index: which member.
        start: the folder of a fine-tuned member, whose weights it starts from.
        texts: n of them, no two alike.
        targets: (n, classes) probabilities that the members of the committee give them together, possibly
            memory-mapped.
        settings: how to train.
        processes: this process.
        progress: receives stages and messages.

    Raises:
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
        InputError: there are fewer than two texts, the disk is too full, or the checkpoint is of another model.
    """
    model, labels = load_classifier(start)
    tokenizer = load_tokenizer(start)
    train, validation = (
        WindowedTexts(texts, targets, part) for part in split_documents(len(targets), settings.seed, fraction=0.1)
    )
    settings = replace(settings, learning_rate=settings.learning_rate or default_learning_rate(model.config))
    settings = settings.ending(steps=_UPDATES)
    name = f"distilling into member {index}"
    workload = Classification(name, model.to(processes.device), tokenizer, train, validation, settings)
    compared = "micro F1 against" if model.problem_type == SEVERAL_LABELS else "agreement with"
    measured = f"{compared} the committee's members on {len(validation):,} unseen texts"
    train_classifier(workload, folder, labels, measured, processes, progress)
