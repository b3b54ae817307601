"""Candidates of the search for a mix of members: one variant, fine-tuned on a part of the labels, predicts the rest."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tinylm.core.files import new_folder
from tinylm.core.problems import SEVERAL_LABELS
from tinylm.core.progress import Progress
from tinylm.core.seeds import member_seed
from tinylm.model.checkpoint import load_classifier
from tinylm.model.config import ModelConfig
from tinylm.text.splits import Task, held_out_rows
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.windows import most_windows
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.classification import text_logits
from tinylm.train.distributed import join_processes
from tinylm.train.finetune import finetune_member
from tinylm.train.settings import FinetuneSettings
from tinylm.train.variants import member_settings

HELD_OUT = 0.2
"""Share of the labels that a candidate predicts."""

_ENOUGH, _MOST_SPLITS = 500, 3
_FILE = "predictions.npz"


def splits_for(texts: int) -> int:
    """How often to part so many texts, so that some 500 predictions are there to choose by, at most three times."""
    return int(np.clip(np.ceil(_ENOUGH / max(1.0, HELD_OUT * texts)), 1, _MOST_SPLITS))


def held_out_by(task: Task, seed: int, split: int) -> npt.NDArray[np.bool_]:
    """Which training texts the candidates of a split predict: (texts,)."""
    return held_out_rows(task.train, HELD_OUT, member_seed(seed, split))


def predict_held_out(
    folder: Path,
    split: int,
    variant: int,
    start: Path | ModelConfig,
    tokenizer: Tokenizer,
    task: Task,
    settings: FinetuneSettings,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Fine-tune a candidate, or read what an earlier run predicted with it.

    Args:
        folder: where its predictions are kept, once they are made.
        split: which fifth of the labels is held out, by seed.
        variant: position in `variants.VARIANTS`.
        start: a pre-trained member, or a shape whose weights are drawn anew.
        tokenizer: its vocabulary.
        task: what to learn.
        settings: of the committee.
        progress: receives stages.

    Returns:
        Probabilities (texts, classes) of the held-out texts, and their classes (texts,), or (texts, classes) 0 or 1.
    """
    if not folder.is_dir():
        model = folder.with_name(f"{folder.name}-model")
        shutil.rmtree(model, ignore_errors=True)
        candidate = replace(member_settings(settings, variant), validation_fraction=HELD_OUT)
        finetune_member(model, split, start, tokenizer, task, candidate, join_processes(), _Quiet(progress))
        examples = task.train.take(np.flatnonzero(held_out_by(task, settings.seed, split)))
        classifier = load_classifier(model)[0].eval()
        with torch.inference_mode():
            windows = most_windows(settings.long)
            texts = EncodedTexts(examples.texts, tokenizer, classifier.config.positions, windows)
            logits = text_logits(classifier, texts)
        several = classifier.problem_type == SEVERAL_LABELS
        probabilities = (logits.sigmoid() if several else logits.softmax(1)).numpy()
        shutil.rmtree(model)
        with new_folder(folder) as temporary:
            np.savez(temporary / _FILE, probabilities=probabilities, labels=examples.labels)
    with np.load(folder / _FILE) as stored:
        return stored["probabilities"], stored["labels"]


class _Quiet:
    """Progress that passes on how far a candidate is, and not how good it is by itself."""

    def __init__(self, progress: Progress) -> None:
        self.start, self.update, self.finish = progress.start, progress.update, progress.finish

    def say(self, message: str) -> None:
        del message
