"""Fine-tuning: classification with [CLS], of one member, stopping when validation no longer improves."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tinylm.model.checkpoint import load_masked_language_model
from tinylm.model.config import ModelConfig
from tinylm.model.heads import SequenceClassifier, initialise
from tinylm.progress import Progress
from tinylm.seeds import derive_seed
from tinylm.text.encoded import EncodedTexts
from tinylm.text.examples import Examples, Task, hold_out
from tinylm.text.tokenizer import Tokenizer
from tinylm.train.batches import Batch, Order, pad_mask
from tinylm.train.distributed import World
from tinylm.train.loop import Job, Loop
from tinylm.train.member import finish_member, partial_folder, settle_precision
from tinylm.train.settings import FinetuneSettings

_LEAST_EPOCHS, _LEAST_UPDATES = 8, 600
_PREDICTION_BATCH = 64


class Classification(Job):
    """Tell the class of a text.

    Args:
        name: what progress calls it.
        model: to be trained.
        tokenizer: its vocabulary.
        train: examples to train on.
        validation: examples to stop by.
        settings: batch size, dropout, patience, seed.
    """

    def __init__(
        self,
        name: str,
        model: SequenceClassifier,
        tokenizer: Tokenizer,
        train: Examples,
        validation: Examples,
        settings: FinetuneSettings,
    ) -> None:
        self.name, self._model = name, model
        self._settings = settings
        length = model.config.positions
        self._train = EncodedTexts(train.texts, tokenizer, length)
        self._lengths = self._train.lengths
        self._targets = torch.from_numpy(train.labels)
        self._held = EncodedTexts(validation.texts, tokenizer, length)
        self._held_targets = torch.from_numpy(validation.labels)
        self._order = Order(self._lengths, settings.batch_size, settings.seed)
        self._special = torch.tensor([tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id])
        self.batches_per_epoch = self._order.batches_per_epoch
        self.chance_loss = math.log(model.classifier.out_features)
        self.patience = settings.patience
        epochs = (settings.steps or 0) / self.batches_per_epoch if settings.steps else settings.epochs
        self.evaluations = max(1, min(20, round(epochs))) if epochs else 10
        model.encoder.embeddings.sparse = True

    @property
    def model(self) -> SequenceClassifier:
        """The model."""
        return self._model

    def batch(self, step: int) -> Batch:
        """The whole batch of an update."""
        indices = self._order.batch(step)
        ids, lengths = torch.from_numpy(self._train.rows(indices)), self._lengths[indices]
        targets = self._targets[torch.from_numpy(indices)]
        return Batch(ids, pad_mask(ids, lengths), None, targets, len(indices), int(lengths.sum()))

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """The sum of the cross-entropies of a part of a batch."""
        settings = self._settings
        assert batch.targets is not None
        mask = drop_words(batch.ids, batch.mask, self._special, settings.word_dropout, generator)
        logits = model(batch.ids, mask, rate=settings.dropout, generator=generator)
        smoothing = settings.label_smoothing
        return functional.cross_entropy(logits.float(), batch.targets, reduction="sum", label_smoothing=smoothing)[None]

    def validate(self) -> dict[str, float]:
        """Accuracy and mean loss on the held-out examples."""
        logits = class_logits(self.model, self._held)
        loss = functional.cross_entropy(logits, self._held_targets)
        right = logits.argmax(1) == self._held_targets
        return {"accuracy": right.double().mean().item(), "loss": loss.item()}

    def better(self, new: dict[str, float], old: dict[str, float]) -> bool:
        """Whether accuracy is higher, or equal at a lower loss."""
        return (new["accuracy"], -new["loss"]) > (old["accuracy"], -old["loss"])

    def lazy_parameter(self) -> nn.Parameter:
        """The word embedding: a batch reads few of its rows."""
        return self.model.encoder.embeddings.word


def drop_words(
    ids: Tensor, mask: Tensor | None, special_ids: Tensor, rate: float, generator: torch.Generator
) -> Tensor | None:
    """Hide words from attention, each with a chance of `rate` (Iyyer et al., 2015, section 4, word dropout).

    Args:
        ids: (batch, tokens).
        mask: (batch, tokens) bool, true where a token is real; None where all are.
        special_ids: tokens that stay: [CLS], [SEP].
        rate: 0 hides nothing.
        generator: where the draws come from.

    Returns:
        The mask of what is left.
    """
    if not rate:
        return mask
    kept = torch.rand(ids.shape, generator=generator, device=ids.device) >= rate
    kept |= torch.isin(ids, special_ids.to(ids.device))
    return kept if mask is None else kept & mask


def class_logits(model: SequenceClassifier, texts: EncodedTexts) -> Tensor:
    """Logits of every text, in their order, computed on batches of like length: (texts, classes) float32 on the CPU."""
    device = model.classifier.weight.device
    lengths = texts.lengths
    order = np.argsort(lengths, kind="stable")
    logits = torch.empty(len(texts), model.classifier.out_features)
    for part in np.array_split(order, -(-len(order) // _PREDICTION_BATCH)):
        ids = torch.from_numpy(texts.rows(part))
        mask = pad_mask(ids, lengths[part])
        computed = model(ids.to(device), None if mask is None else mask.to(device))
        logits[torch.from_numpy(part)] = computed.float().cpu()
    return logits


def default_learning_rate(shape: ModelConfig) -> float:
    """The peak learning rate where none is given: 3.5e-4 for one layer of width 256, falling with width and depth."""
    return 3.5e-4 * math.sqrt(256 / shape.hidden_size / shape.layers)


def finetune_member(
    folder: Path,
    index: int,
    start: Path | ModelConfig,
    tokenizer: Tokenizer,
    task: Task,
    settings: FinetuneSettings,
    world: World,
    progress: Progress,
) -> None:
    """Fine-tune one member into `folder`, going on from its checkpoint where there is one.

    Args:
        folder: where the finished model goes.
        index: which member; its seed is made of this and `settings.seed`.
        start: the folder of a pre-trained member, or a shape whose weights are drawn anew.
        tokenizer: its vocabulary.
        task: what to learn; its test part is not looked at.
        settings: how to train.
        world: this process.
        progress: who listens.

    Raises:
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
        InputError: a label has too few examples, the disk is too full, or the checkpoint is of another model.
    """
    seed = derive_seed(settings.seed, "member", index)
    train, validation = hold_out(task.train, settings.validation, settings.seed)
    model = _start(start, len(task.labels), seed).to(world.device)
    member = replace(settings, seed=seed, learning_rate=settings.learning_rate or default_learning_rate(model.config))
    if settings.budget is None and settings.steps is None and settings.epochs is None:
        epochs = max(_LEAST_EPOCHS, math.ceil(_LEAST_UPDATES * settings.batch_size / len(train)))
        member = replace(member, epochs=epochs)
    name = f"fine-tuning {'member' if isinstance(start, Path) else 'from scratch, member'} {index}"
    job = Classification(name, model, tokenizer, train, validation, member)
    # One vector a text runs through the matrices, so their cast to bfloat16 is weighed against few rows.
    partial = partial_folder(folder)
    precision, _ = settle_precision(partial, member, model.config, member.batch_size, world)
    state = Loop(job, member, partial, precision, world, progress).run()
    progress.say(
        f"{name}: best after update {state.best_step:,} of {state.step:,}; "
        f"validation accuracy {100 * state.best['accuracy']:.1f} %"
    )
    finish_member(folder, model, tokenizer, member, state, {"validation": state.best}, task.labels)


def _start(start: Path | ModelConfig, labels: int, seed: int) -> SequenceClassifier:
    if isinstance(start, ModelConfig):
        model = SequenceClassifier(start, labels)
        initialise(model, seed)
        return model
    pretrained = load_masked_language_model(start)
    model = SequenceClassifier(pretrained.config, labels)
    initialise(model, seed)
    model.encoder.load_state_dict(pretrained.encoder.state_dict())
    return model
