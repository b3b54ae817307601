"""Pre-training of one member of a committee, from its checkpoint to the finished model."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinylm.core.progress import Progress
from tinylm.core.seeds import member_seed
from tinylm.model.config import ModelConfig
from tinylm.model.heads import MaskedLanguageModel, initialise
from tinylm.tokens.sequences import Packed, Pairs, Sequences, Truncated, split_documents
from tinylm.tokens.token_file import TokenFile
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.distributed import DistributedContext
from tinylm.train.member import finish_member, partial_folder, settle_precision
from tinylm.train.objectives.base import ObjectiveFactory, TokenStatistics
from tinylm.train.pretraining import Pretraining
from tinylm.train.settings import PretrainSettings
from tinylm.train.trainer import Trainer


def _view(settings: PretrainSettings, tokens: TokenFile, documents: np.ndarray, length: int) -> Sequences | Pairs:
    match settings.sequences:
        case "pairs":
            return Pairs(tokens, documents, length)
        case "packed":
            return Packed(tokens, documents, length)
        case "truncated":
            return Truncated(tokens, documents, length)


def default_learning_rate(shape: ModelConfig) -> float:
    """The peak learning rate where none is given: 1e-3 for one layer of width 256, falling with width and depth."""
    return 1e-3 * math.sqrt(256 / shape.hidden_size / shape.layers)


def pretrain_member(
    folder: Path,
    index: int,
    shape: ModelConfig,
    tokens: TokenFile,
    tokenizer: Tokenizer,
    settings: PretrainSettings,
    processes: DistributedContext,
    progress: Progress,
    objectives: Sequence[ObjectiveFactory] = (),
) -> None:
    """Pre-train one member of a committee into `folder`, going on from its checkpoint where there is one.

    While it trains, checkpoints and metrics are in `folder` with `.partial` added to its name.

    Args:
        folder: where the finished model goes.
        index: which member; its seed is made of this and `settings.seed`.
        shape: of the model.
        tokens: the corpus.
        tokenizer: its vocabulary.
        settings: how to train.
        processes: the processes that take part.
        progress: receives stages and messages.
        objectives: further objectives; see `train.objectives.base`.

    Raises:
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
        InputError: the corpus is too small, the disk too full, or the checkpoint of another model.
    """
    # A document of one token and its [SEP] has no two passages.
    least = 3 if settings.sequences == "pairs" else 0
    documents = np.flatnonzero(np.diff(tokens.offsets) >= least)
    parts = split_documents(len(documents), settings.seed)
    train, validation = (_view(settings, tokens, documents[part], shape.positions) for part in parts)
    member = replace(
        settings,
        seed=member_seed(settings.seed, index),
        learning_rate=settings.learning_rate or default_learning_rate(shape),
    ).ending(budget="10m")
    model = MaskedLanguageModel(shape)
    initialise(model, member.seed)
    model.to(processes.device)
    name = f"pre-training member {index}"
    workload = Pretraining(
        name,
        model,
        train,
        validation,
        TokenStatistics(tokenizer, tokens.counts),
        member,
        settings.seed,
        objectives=objectives,
        shared=processes.size > 1,
    )
    partial = partial_folder(folder)
    precision, reason = settle_precision(partial, member, shape, shape.positions * member.batch_size, processes)
    progress.say(f"{name}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M weights; {reason}")
    state = Trainer(workload, member, partial, precision, processes, progress).run()
    loss, known = state.validation["loss"], workload.unigram_entropy
    progress.say(
        f"{name}: {state.step:,} updates, {state.tokens / 1e6:,.1f} M tokens in {state.seconds:,.0f} s; "
        f"validation loss {loss:.3f} (knowing only how frequent each token is: {known:.3f})"
    )
    if loss >= known:
        progress.say(
            f"warning: member {index} has learnt no more than how frequent tokens are; train it longer or on more text"
        )
    if processes.is_main:
        facts = {"validation_loss": loss, "unigram_entropy": known}
        finish_member(folder, model, tokenizer, member, state, facts)
