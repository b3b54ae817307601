"""Pre-training: masked language modelling (Devlin et al., 2019) of one member."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tinylm.model.config import ModelConfig
from tinylm.model.heads import IGNORED, Bag, MaskedLanguageModel, initialise
from tinylm.progress import Progress
from tinylm.seeds import derive_seed, torch_generator
from tinylm.text.tokenizer import Tokenizer
from tinylm.text.tokens import FirstTokens, Packed, Rows, TokenFile, split_documents
from tinylm.train.batches import Batch, Order, pad_mask
from tinylm.train.distributed import World
from tinylm.train.loop import Job, Loop
from tinylm.train.masking import Masking, mask_rows
from tinylm.train.member import finish_member, partial_folder, settle_precision
from tinylm.train.settings import PretrainSettings

_VALIDATION_ROWS = 256
_EVALUATIONS = 8
_SMOOTHING = 1e-3


class MaskedLanguageModelling(Job):
    """Guess hidden tokens.

    Args:
        name: what progress calls it.
        model: to be trained.
        train: rows to train on.
        validation: rows to validate on; the first 256 are used, with masks that never change.
        tokenizer: the vocabulary.
        settings: rate of masking, batch size, seed.
        counts: (vocabulary,) occurrences of each token in the corpus.
        validation_seed: of the fixed masks; the same for all members, so that their losses compare.
    """

    evaluations = _EVALUATIONS
    patience = None

    def __init__(
        self,
        name: str,
        model: MaskedLanguageModel,
        train: Rows,
        validation: Rows,
        tokenizer: Tokenizer,
        settings: PretrainSettings,
        counts: np.ndarray,
        validation_seed: int,
    ) -> None:
        self.name, self._model = name, model
        self._settings = settings
        self._train = train
        self._lengths = train.lengths
        self._order = Order(self._lengths, settings.batch_size, settings.seed)
        self._tokenizer = tokenizer
        self._special = torch.tensor([tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id])
        unknown = torch.tensor([tokenizer.unk_id])
        self._word_weights = word_weights(counts, torch.cat((self._special, unknown)))
        self._masking = Masking(rate=settings.mask_rate)
        self.batches_per_epoch = self._order.batches_per_epoch
        self.chance_loss = math.log(tokenizer.vocab_size)
        held = np.argsort(validation.lengths[:_VALIDATION_ROWS], kind="stable")
        self._held = [
            self._masked(validation, part, torch_generator(validation_seed, "validation masks", index))
            for index, part in enumerate(np.array_split(held, -(-len(held) // 32)))
        ]

    @property
    def model(self) -> MaskedLanguageModel:
        """The model."""
        return self._model

    def batch(self, step: int) -> Batch:
        """The whole batch of an update."""
        generator = torch_generator(self._settings.seed, "masks", step)
        return self._masked(self._train, self._order.batch(step), generator)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator | None) -> Tensor:
        """The sums of the cross-entropies of a part of a batch: hidden tokens, and words asked of [CLS]."""
        rate = self._settings.dropout
        bag = None if batch.words is None else self._bag(batch)
        loss: Tensor = model(batch.ids, batch.mask, batch.reads, batch.targets, bag, rate=rate, generator=generator)
        return loss

    def validate(self) -> dict[str, float]:
        """Mean loss on the held-out rows."""
        device = next(self.model.parameters()).device.type
        without_bag = (replace(batch, words=None).to(device) for batch in self._held)
        total = sum(self.loss(self.model, batch, None).item() for batch in without_bag)
        return {"loss": total / sum(batch.weight for batch in self._held)}

    def better(self, new: dict[str, float], old: dict[str, float]) -> bool:
        """Whether the loss is lower."""
        return new["loss"] < old["loss"]

    def lazy_parameter(self) -> None:
        """None: the head reads the whole embedding, so its gradient is dense."""

    def _masked(self, rows: Rows, indices: np.ndarray, generator: torch.Generator) -> Batch:
        ids = torch.from_numpy(rows.rows(indices))
        lengths = rows.lengths[indices] if rows is not self._train else self._lengths[indices]
        masked = mask_rows(
            ids, self._special, self._masking, self._tokenizer.mask_id, self._tokenizer.vocab_size, generator
        )
        weight = max(1, int((masked.targets != IGNORED).sum()))
        mask = pad_mask(ids, lengths)
        words = ids if self._settings.bag_of_words else None
        return Batch(masked.inputs, mask, masked.reads, masked.targets, weight, int(lengths.sum()), words)

    def _bag(self, batch: Batch) -> Bag:
        """The words of each row, weighted to count `bag_of_words` times as much as its hidden tokens together."""
        assert batch.words is not None
        weights = self._word_weights.to(batch.words.device)[batch.words]
        hidden = (batch.targets != IGNORED).sum(1, keepdim=True)
        share = weights / weights.sum(1, keepdim=True).clamp(min=1e-9)
        return Bag(batch.words, share * hidden * self._settings.bag_of_words)


def word_weights(counts: np.ndarray, special_ids: Tensor) -> Tensor:
    """How much each token counts in a bag: a / (a + its frequency), a = 1e-3 (Arora et al., 2017, equation 4).

    Args:
        counts: (vocabulary,) occurrences in the corpus.
        special_ids: tokens that do not count.

    Returns:
        (vocabulary,) float32, 0 to 1: near 1 for rare tokens, near 0 for the most frequent.
    """
    frequency = torch.from_numpy(counts / max(1, counts.sum()))
    weights = _SMOOTHING / (_SMOOTHING + frequency)
    weights[special_ids] = 0.0
    return weights.float()


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
    world: World,
    progress: Progress,
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
        world: the processes that take part.
        progress: who listens.

    Raises:
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
        InputError: the corpus is too small, the disk too full, or the checkpoint of another model.
    """
    train_documents, held_documents = split_documents(len(tokens), settings.seed)
    view = Packed if settings.rows == "packed" else FirstTokens
    train = view(tokens, train_documents, shape.positions)
    validation = view(tokens, held_documents, shape.positions)
    member = replace(
        settings,
        seed=derive_seed(settings.seed, "member", index),
        learning_rate=settings.learning_rate or default_learning_rate(shape),
        budget=settings.budget or ("10m" if settings.steps is None and settings.epochs is None else None),
    )
    model = MaskedLanguageModel(shape)
    initialise(model, member.seed)
    model.to(world.device)
    name = f"pre-training member {index}"
    job = MaskedLanguageModelling(name, model, train, validation, tokenizer, member, tokens.counts, settings.seed)
    partial = partial_folder(folder)
    precision, reason = settle_precision(partial, member, shape, shape.positions * member.batch_size, world)
    progress.say(f"{name}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M weights; {reason}")
    state = Loop(job, member, partial, precision, world, progress).run()
    loss, entropy = state.best["loss"], tokens.meta.entropy
    progress.say(
        f"{name}: {state.step:,} updates, {state.tokens / 1e6:,.1f} M tokens in {state.seconds:,.0f} s; "
        f"validation loss {loss:.3f} (knowing only how frequent each token is: {entropy:.3f})"
    )
    if loss >= entropy:
        progress.say(
            f"warning: member {index} has learnt no more than how frequent tokens are; train it longer or on more text"
        )
    if world.leads:
        facts = {"validation_loss": loss, "unigram_entropy": entropy}
        finish_member(folder, model, tokenizer, member, state, facts)
