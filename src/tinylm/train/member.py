"""A member's folder while it trains, `NAME.partial`, and when it is done: what both workloads share."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tinylm.core.files import new_folder, write_json, write_text
from tinylm.model.checkpoint import save_model
from tinylm.model.config import ModelConfig
from tinylm.model.heads import MaskedLanguageModel, SequenceClassifier
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.distributed import DistributedContext
from tinylm.train.precision import choose_precision
from tinylm.train.settings import TrainingSettings
from tinylm.train.state import State
from tinylm.train.trainer import METRICS

TRAINING = "training.json"
_PRECISION = "precision"


def partial_folder(folder: Path) -> Path:
    """Where a member is while it trains: checkpoints, metrics."""
    return folder.with_name(f"{folder.name}.partial")


def settle_precision(
    partial: Path, settings: TrainingSettings, shape: ModelConfig, rows: int, processes: DistributedContext
) -> tuple[torch.dtype, str]:
    """The precision to train in and why: chosen once and kept, so that a resumed run computes as it did before.

    Args:
        partial: where it is kept.
        settings: the precision that was requested.
        shape: of the model.
        rows: vectors that run through its matrices in one update.
        processes: the processes that take part; rank 0 chooses.
    """
    kept = partial / _PRECISION
    with processes.main_process_first():
        if not kept.is_file():
            chosen, reason = choose_precision(settings.precision, shape, rows, processes.device)
            write_text(kept, str(chosen).removeprefix("torch."))
            return chosen, reason
    name = kept.read_text(encoding="utf-8")
    return getattr(torch, name), f"{name}: chosen when this run began"


def finish_member(
    folder: Path,
    model: MaskedLanguageModel | SequenceClassifier,
    tokenizer: Tokenizer,
    settings: TrainingSettings,
    state: State,
    facts: dict[str, Any],
    labels: tuple[str, ...] = (),
) -> None:
    """Write the finished member, with its metrics and `training.json`, and remove what only training needed.

    Args:
        folder: where it goes.
        model: as trained.
        tokenizer: its vocabulary.
        settings: how it was trained.
        state: how far it came.
        facts: what else `training.json` should say.
        labels: names of the classes, for a classifier.
    """
    partial = partial_folder(folder)
    counted = {"updates": state.step, "tokens": state.tokens, "seconds": state.seconds}
    precision = (partial / _PRECISION).read_text(encoding="utf-8")
    with new_folder(folder) as temporary:
        save_model(temporary, model, tokenizer, labels)
        shutil.copy(partial / METRICS, temporary / METRICS)
        write_json(temporary / TRAINING, {"settings": asdict(settings), "precision": precision, **counted, **facts})
    shutil.rmtree(partial)
