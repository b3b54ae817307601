"""The workload of fine-tuning and of distillation: predict the class of a text from [CLS]."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from tinylm.committee.thresholds import f1_scores
from tinylm.core.problems import SEVERAL_LABELS
from tinylm.core.progress import Progress
from tinylm.core.seeds import numpy_generator
from tinylm.model.heads import SequenceClassifier
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.sequences import Sequences
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.batch import Batch, pad_mask
from tinylm.train.distributed import DistributedContext
from tinylm.train.masking import drop_words
from tinylm.train.member import finish_member, partial_folder, settle_precision
from tinylm.train.objectives.classification import ClassPrediction, LabelsPrediction
from tinylm.train.sampler import LengthGroupedSampler
from tinylm.train.settings import ClassificationSettings
from tinylm.train.trainer import Trainer
from tinylm.train.workload import Measures, Terms, Workload

_PREDICTION_BATCH = 64
_WEIGHTS = "weights"
"""In a batch, beside the targets."""
_BIGRAM_LR_MULTIPLIER = 5.0
"""Learning rate of bigram embeddings, as a multiple of the encoder's; docs/LOG.md, "Bigrams"."""


@dataclass(frozen=True)
class ClassificationData:
    """Sequences of token ids and their targets; both may be views of files, of which batches alone are read."""

    sequences: Sequences
    """n of them."""
    targets: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    """(n,) classes, (n, classes) probabilities, or (n, labels) 0 or 1 or probabilities where a text has several."""
    indices: npt.NDArray[np.int64]
    """Which of the n belong to this part."""
    weights: npt.NDArray[np.float64] | None = None
    """(n,): how much each counts in the loss; all alike when None."""

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(len(self),) token ids of each sequence of this part."""
        return self.sequences.lengths[self.indices]

    def fetch(self, chosen: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Sequences of this part, by number: (B,) to (B, T) padded ids."""
        return self.sequences.fetch(self.indices[chosen])

    def draw(self, chosen: npt.NDArray[np.integer], generator: np.random.Generator) -> npt.NDArray[np.int64]:
        """What an update sees of some sequences: (B,) to (B, T) padded ids."""
        del generator
        return self.fetch(chosen)

    def logits(self, model: SequenceClassifier) -> Tensor:
        """Logits of each, in their order: (len(self), classes)."""
        return class_logits(model, self)

    def targets_of(self, chosen: npt.NDArray[np.integer]) -> Tensor:
        """Their targets: (B,) or (B, classes)."""
        return torch.from_numpy(np.ascontiguousarray(self.targets[self.indices[chosen]]))

    def weights_of(self, chosen: npt.NDArray[np.integer]) -> dict[str, Tensor]:
        """Their weights, with the mean 1 over this part, by a name of their own; nothing where all count alike."""
        if self.weights is None:
            return {}
        mean = self.weights[self.indices].mean()
        return {_WEIGHTS: torch.from_numpy((self.weights[self.indices[chosen]] / mean).astype(np.float32))}


@dataclass(frozen=True)
class WindowedTexts(ClassificationData):
    """Texts that are trained on by a window drawn anew each time, and measured by all of their windows."""

    sequences: EncodedTexts
    """Of all texts; targets and indices are those of texts."""

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(len(self),) token ids of what is drawn of each text of this part."""
        return self.sequences.drawn_lengths[self.indices]

    def draw(self, chosen: npt.NDArray[np.integer], generator: np.random.Generator) -> npt.NDArray[np.int64]:
        """A window of some texts: (B,) to (B, T) padded ids."""
        return self.sequences.draw(self.indices[chosen], generator)

    def logits(self, model: SequenceClassifier) -> Tensor:
        """Logits of each text, in their order: (len(self), classes)."""
        return text_logits(model, self.sequences.take(self.indices))


class Classification(Workload):
    """Predict the class of a text from [CLS].

    Args:
        name: of the stage, for progress.
        model: to be trained.
        tokenizer: its vocabulary.
        train: texts to train on.
        validation: texts to measure on.
        settings: batch size, dropout, word dropout, seed.
        label_smoothing: share of each answer that is given to all classes alike, where a text has one.
        head_lr_multiplier: learning rate of pooler and classifier, as a multiple of the encoder's.

    Attributes:
        settings: as given, with the share of dropped words that was chosen by the number of texts.
        tokenizer: its vocabulary.
    """

    evaluations = 10

    def __init__(
        self,
        name: str,
        model: SequenceClassifier,
        tokenizer: Tokenizer,
        train: ClassificationData,
        validation: ClassificationData,
        settings: ClassificationSettings,
        *,
        label_smoothing: float = 0.0,
        head_lr_multiplier: float = 1.0,
    ) -> None:
        self.name, self._model = name, model
        self.tokenizer, self.head_lr_multiplier = tokenizer, head_lr_multiplier
        self._several = model.problem_type == SEVERAL_LABELS
        of_labels = train.targets.ndim == 1 or train.targets.dtype == np.int64
        name_of_term = "classification" if of_labels else "distillation"
        self.objective = (
            LabelsPrediction(name_of_term) if self._several else ClassPrediction(name_of_term, label_smoothing)
        )
        given = settings.word_dropout
        self._word_dropout = default_word_dropout(len(train)) if given is None else given
        self.settings = replace(settings, word_dropout=self._word_dropout)
        self._train, self._validation = train, validation
        self._lengths = train.lengths
        self._validation_targets = validation.targets_of(np.arange(len(validation)))
        self._sampler = LengthGroupedSampler(self._lengths, settings.batch_size, settings.seed)
        self._special = torch.tensor([tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id])
        self.batches_per_epoch = self._sampler.batches_per_epoch
        self.uniform_loss = math.log(2 if self._several else model.classifier.out_features)
        model.encoder.embeddings.sparse = True

    @property
    def measure(self) -> str:
        """Which of the validation's measures says how good the model is."""
        return "micro_f1" if self._several else "accuracy"

    @property
    def held_out(self) -> int:
        """How many texts are measured on."""
        return len(self._validation)

    @property
    def model(self) -> SequenceClassifier:
        """The model."""
        return self._model

    def batch(self, step: int) -> Batch:
        """The whole batch of an update."""
        indices = self._sampler.batch(step)
        generator = numpy_generator(self.settings.seed, "windows", step)
        ids, lengths = torch.from_numpy(self._train.draw(indices, generator)), self._lengths[indices]
        targets = self._train.targets_of(indices)
        mask = pad_mask(ids, lengths)
        weighed = {self.objective.name: targets, **self._train.weights_of(indices)}
        return Batch(ids, mask, len(indices), int(lengths.sum()), weighed)

    def loss(self, module: nn.Module, batch: Batch, generator: torch.Generator) -> Terms:
        """The sum of the cross-entropies of a part of a batch, with words dropped."""
        targets = batch.targets[self.objective.name]
        weights = batch.targets.get(_WEIGHTS)
        assert isinstance(targets, Tensor)
        assert isinstance(weights, Tensor | None)
        mask = drop_words(batch.ids, batch.mask, self._special, self._word_dropout, generator)
        logits = module(batch.ids, mask, rate=self.settings.dropout, generator=generator)
        return {self.objective.name: self.objective.term(logits, targets, weights)}

    def validate(self) -> Measures:
        """The share of held-out texts whose most probable class is found, and the mean loss.

        Of several labels it is micro F1 at a threshold of 0.5.
        """
        logits, targets = self._validation.logits(self.model), self._validation_targets
        if self._several:
            loss = self.objective.term(logits, targets) / len(targets)
            predicted, truth = (logits >= 0).numpy(), (targets.numpy() >= 0.5).astype(np.int64)
            return {"micro_f1": f1_scores(predicted, truth)[0], "loss": loss.item()}
        best = targets if targets.ndim == 1 else targets.argmax(1)
        loss = functional.cross_entropy(logits, targets)
        return {"accuracy": (logits.argmax(1) == best).double().mean().item(), "loss": loss.item()}

    def sparse_parameters(self) -> Mapping[nn.Parameter, float]:
        """The embeddings of words, bigrams and characters: a batch reads few of their rows."""
        embeddings = self.model.encoder.embeddings
        bigrams = {} if embeddings.bigrams is None else {embeddings.bigrams.table: _BIGRAM_LR_MULTIPLIER}
        characters = {} if embeddings.characters is None else {embeddings.characters.table: 1.0}
        return {embeddings.word: 1.0, **bigrams, **characters}


def train_classifier(
    workload: Classification,
    folder: Path,
    labels: tuple[str, ...],
    measured: str,
    processes: DistributedContext,
    progress: Progress,
) -> None:
    """Train to the end, from its checkpoint where there is one, and write the finished member.

    Args:
        workload: of one member.
        folder: where the member goes.
        labels: names of the classes.
        measured: what progress calls the measure of held-out texts.
        processes: those that take part.
        progress: receives stages and messages.

    Raises:
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
        InputError: the disk is too full, or the checkpoint is of another model.
    """
    partial, settings = partial_folder(folder), workload.settings
    # One vector a text runs through the matrices, so their cast to bfloat16 is weighed against few rows.
    precision, _ = settle_precision(partial, settings, workload.model.config, settings.batch_size, processes)
    state = Trainer(workload, settings, partial, precision, processes, progress).run()
    progress.say(
        f"{workload.name}: {state.step:,} updates in {state.seconds:,.0f} s; "
        f"{measured} {100 * state.validation[workload.measure]:.1f} % on {workload.held_out:,} text(s)"
    )
    workload.model.encoder.embeddings.merge_characters()
    finish_member(folder, workload.model, workload.tokenizer, settings, state, {"validation": state.validation}, labels)


def default_word_dropout(texts: int) -> float:
    """Share of words that are dropped by default: 0.6 of up to 4,000 texts, falling to 0.2 of 40,000 and more."""
    return 0.6 - 0.4 * min(1.0, max(0.0, math.log10(max(1, texts) / 4000)))


def class_logits(model: SequenceClassifier, texts: Sequences | ClassificationData) -> Tensor:
    """Logits of every text, in their order, computed on batches of like length: (texts, classes) float32 on the CPU."""
    device = model.classifier.weight.device
    lengths = texts.lengths
    order = np.argsort(lengths, kind="stable")
    logits = torch.empty(len(texts), model.classifier.out_features)
    for part in np.array_split(order, -(-len(order) // _PREDICTION_BATCH)):
        ids = torch.from_numpy(texts.fetch(part))
        mask = pad_mask(ids, lengths[part])
        computed = model(ids.to(device), None if mask is None else mask.to(device))
        logits[torch.from_numpy(part)] = computed.float().cpu()
    return logits


def text_logits(model: SequenceClassifier, texts: EncodedTexts) -> Tensor:
    """Logits of texts, in their order: where one has several windows, of the mean of their probabilities.

    Returns:
        (texts, classes) float32 on the CPU.
    """
    logits, windows = class_logits(model, texts), torch.from_numpy(texts.windows)
    if len(logits) == len(windows):
        return logits
    text = torch.repeat_interleave(torch.arange(len(windows)), windows)
    several, smallest = model.problem_type == SEVERAL_LABELS, torch.finfo(torch.float32).tiny
    of_windows = logits.sigmoid() if several else logits.softmax(1)
    mean = torch.zeros(len(windows), logits.shape[1]).index_add_(0, text, of_windows) / windows[:, None]
    pooled = mean.clamp_min(smallest).log()
    if several:
        pooled = pooled - (1 - mean).clamp_min(smallest).log()
    firsts = logits[windows.cumsum(0) - windows]
    return torch.where(windows[:, None] > 1, pooled, firsts)
