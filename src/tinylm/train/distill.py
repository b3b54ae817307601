"""Distillation: one member learns to answer as its committee does (Hinton et al., 2015), on text without labels."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tinylm.model.checkpoint import load_classifier
from tinylm.progress import Progress
from tinylm.text.tokenizer import load_tokenizer
from tinylm.text.tokens import split_documents
from tinylm.train.classification import Answered, Classification
from tinylm.train.distributed import World
from tinylm.train.finetune import default_learning_rate
from tinylm.train.loop import Loop
from tinylm.train.member import finish_member, partial_folder, settle_precision
from tinylm.train.settings import DistillSettings

_UPDATES = 3000


def distill_member(
    folder: Path,
    start: Path,
    texts: Sequence[str],
    answers: npt.NDArray[np.float32],
    settings: DistillSettings,
    world: World,
    progress: Progress,
) -> None:
    """Teach one member into `folder`, going on from its checkpoint where there is one.

    Args:
        folder: where the finished model goes.
        start: the folder of a fine-tuned member, whose weights it starts from.
        texts: n of them, no two alike.
        answers: (n, classes) probabilities that the committee gives them.
        settings: how to train.
        world: this process.
        progress: who listens.

    Raises:
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
        InputError: there are fewer than two texts, the disk is too full, or the checkpoint is of another model.
    """
    model, labels = load_classifier(start)
    tokenizer = load_tokenizer(start)
    train, validation = (
        Answered([texts[index] for index in part], torch.from_numpy(answers[part]))
        for part in split_documents(len(texts), settings.seed, fraction=0.1)
    )
    settings = replace(settings, learning_rate=settings.learning_rate or default_learning_rate(model.config))
    settings = settings.ending(steps=_UPDATES)
    name = "distilling the committee"
    job = Classification(name, model.to(world.device), tokenizer, train, validation, settings)
    partial = partial_folder(folder)
    precision, _ = settle_precision(partial, settings, model.config, settings.batch_size, world)
    state = Loop(job, settings, partial, precision, world, progress).run()
    agreement = state.validation["accuracy"]
    progress.say(
        f"{name}: {state.step:,} updates in {state.seconds:,.0f} s; "
        f"on {len(validation.texts):,} texts it has not seen, it agrees with the committee on {100 * agreement:.1f} %"
    )
    settings = replace(settings, word_dropout=job.word_dropout)
    finish_member(folder, model, tokenizer, settings, state, {"validation": state.validation}, labels)
