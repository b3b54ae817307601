"""Fine-tuning: one member learns labels."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS, ProblemType
from tinylm.core.progress import Progress
from tinylm.core.seeds import member_seed
from tinylm.model.characters import CharacterEmbeddings
from tinylm.model.checkpoint import load_classifier, load_masked_language_model
from tinylm.model.config import ModelConfig
from tinylm.model.heads import SequenceClassifier, initialise
from tinylm.model.layout import read_config
from tinylm.text.splits import Task, held_out_rows
from tinylm.tokens.bigrams import frequent_bigrams
from tinylm.tokens.characters import character_ngrams
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.sequences import Indices, Sequences, in_chunks
from tinylm.tokens.windows import most_windows, positions_for
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.classification import Classification, WindowedTexts, train_classifier
from tinylm.train.distributed import DistributedContext
from tinylm.train.settings import SHORT_STEPS, FinetuneSettings
from tinylm.train.weights import weights_of

_LEAST_EPOCHS, _MOST_EPOCHS, _UPDATES = 3, 50, 1000
_EPOCHS_OF_SEVERAL, _UPDATES_OF_SEVERAL = 10, 300
"""Binary cross-entropy of held-out texts rises after these (docs/LOG.md, "Several labels a text")."""
BIGRAM_MIN_COUNT, MOST_BIGRAMS = 2, 100_000
"""Occurrences of a bigram in the training texts at least, and how many are listed; docs/LOG.md, "Bigrams"."""

_ENOUGH_FOR_CHARACTERS = 2000
"""Training texts from which on members have character embeddings; docs/LOG.md, "Characters within pieces"."""


def default_learning_rate(shape: ModelConfig) -> float:
    """The peak learning rate where none is given: 3.5e-4 for one layer of width 256, falling with width and depth."""
    return 3.5e-4 * math.sqrt(256 / shape.hidden_size / shape.layers)


def default_updates(texts: int, batch_size: int, problem_type: ProblemType = ONE_LABEL) -> int:
    """How long training lasts where nobody says: 1,000 updates, but no fewer than 3 epochs and no more than 50.

    Where a text may have several labels, 300 updates or 10 epochs, whichever is more, are the most of these 50 epochs.
    """
    epoch, updates = texts / batch_size, float(_UPDATES)
    if problem_type == SEVERAL_LABELS:
        updates = min(updates, max(_UPDATES_OF_SEVERAL, _EPOCHS_OF_SEVERAL * epoch))
    return math.ceil(max(_LEAST_EPOCHS * epoch, min(updates, _MOST_EPOCHS * epoch)))


def shape_of(start: Path | ModelConfig) -> ModelConfig:
    """The shape of what a member starts from: a folder, or a shape whose weights are drawn anew."""
    return read_config(start)[0] if isinstance(start, Path) else start


def vocabulary_size(shape: ModelConfig, tokenizer: Tokenizer) -> int:
    """Rows that a model's word embedding needs for a vocabulary, which may have pieces that it was made without."""
    return max(shape.vocab_size, tokenizer.vocab_size)


def is_short(settings: FinetuneSettings, texts: int, times: int) -> bool:
    """Whether fine-tuning so many times on so many texts takes no longer than starting processes for it does."""
    ending = settings.ending(steps=default_updates(texts, settings.batch_size))
    return ending.is_short if ending.steps is None else times * ending.steps < SHORT_STEPS


def finetune_member(
    folder: Path,
    index: int,
    start: Path | ModelConfig,
    tokenizer: Tokenizer,
    task: Task,
    settings: FinetuneSettings,
    processes: DistributedContext,
    progress: Progress,
) -> None:
    """Fine-tune one member into `folder`, going on from its checkpoint where there is one.

    Each member holds out a part of its own to validate on, so that nearly every label is learnt by some members.

    Args:
        folder: where the finished model goes.
        index: which member; its seed is made of this and `settings.seed`.
        start: the folder of a pre-trained member, or a shape whose weights are drawn anew.
        tokenizer: its vocabulary, which may have more pieces than `start`.
        task: what to learn; its test part is not looked at.
        settings: how to train this member; see `variants.member_settings`.
        processes: this process.
        progress: receives stages and messages.

    Raises:
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
        InputError: a label has too few examples, the disk is too full, or the checkpoint is of another model.
    """
    seed = member_seed(settings.seed, index)
    shape = shape_of(start)
    positions = positions_for(settings.long, shape.positions)
    shape = replace(shape, vocab_size=vocabulary_size(shape, tokenizer), positions=positions)
    sequences = EncodedTexts(task.train.texts, tokenizer, shape.positions, most_windows(settings.long))
    bigrams = _bigrams(sequences, shape, settings)
    model = start_member(start, shape, task, seed, bigrams)
    many = len(task.train) >= _ENOUGH_FOR_CHARACTERS
    if many if settings.characters is None else settings.characters:
        ngrams = _shared_characters(sequences, tokenizer)
        model.encoder.embeddings.characters = CharacterEmbeddings(ngrams, shape.hidden_size)
    model.to(processes.device)
    held_out = held_out_rows(task.train, settings.validation_fraction, seed)
    weights = weights_of(task, settings.class_weight)
    of_rows = None if weights is None else weights.of_rows
    train, validation = (
        WindowedTexts(sequences, task.train.labels, np.flatnonzero(part), of_rows) for part in (~held_out, held_out)
    )
    member = replace(settings, seed=seed, learning_rate=settings.learning_rate or default_learning_rate(model.config))
    member = member.ending(steps=default_updates(len(train), settings.batch_size, task.problem_type))
    name = f"fine-tuning {'member' if isinstance(start, Path) else 'from scratch, member'} {index}"
    workload = Classification(
        name,
        model,
        tokenizer,
        train,
        validation,
        member,
        label_smoothing=settings.label_smoothing,
        head_lr_multiplier=settings.head_lr_multiplier,
    )
    measured = "validation micro F1" if task.problem_type == SEVERAL_LABELS else "validation accuracy"
    train_classifier(workload, folder, task.labels, measured, processes, progress)


def _bigrams(sequences: Sequences, shape: ModelConfig, settings: FinetuneSettings) -> Indices:
    """Codes of the bigrams that get vectors: those of the training texts, whose labels are not looked at."""
    if not settings.bigrams:
        return np.empty(0, np.int64)
    return frequent_bigrams(sequences, shape.vocab_size, min_count=BIGRAM_MIN_COUNT, most=MOST_BIGRAMS)


def _shared_characters(sequences: Sequences, tokenizer: Tokenizer) -> sparse.csr_matrix:
    """Character n-grams that a piece of the training texts shares with another piece: (vocabulary, n-grams)."""
    ngrams = character_ngrams(tokenizer)
    seen = np.zeros(tokenizer.vocab_size, bool)
    for ids, _ in in_chunks(sequences):
        seen[ids] = True
    shared = (ngrams.getnnz(axis=0) > 1) & (ngrams[seen].getnnz(axis=0) > 0)
    return sparse.csr_matrix(ngrams[:, shared])


def start_member(
    start: Path | ModelConfig, shape: ModelConfig, task: Task, seed: int, bigrams: Indices
) -> SequenceClassifier:
    """A member before its first update.

    Args:
        start: a folder, or a shape whose weights are drawn anew. Of a masked language model the encoder is taken; of a
            classifier also its pooler, the rows of its head whose labels are among those of the task, and its bigrams.
        shape: of the member, with the size of its vocabulary and its positions; `start` may have fewer of both.
        task: what it is to learn.
        seed: of what is new.
        bigrams: codes of those that get vectors, rising.
    """
    known = read_config(start)[1] if isinstance(start, Path) else ()
    if isinstance(start, Path) and known:
        return _further(load_classifier(start)[0], known, shape, task, seed, bigrams)
    model = _new_classifier(replace(shape, bigrams=len(bigrams)), task, seed)
    if isinstance(start, Path):
        weights = load_masked_language_model(start).encoder.state_dict()
        # What a base does not have stays as it is: bigrams, and the pieces of the task's own marks.
        _extend(weights, model)
        model.encoder.load_state_dict(weights, strict=not len(bigrams))
    if model.encoder.embeddings.bigrams is not None:
        model.encoder.embeddings.bigrams.set_codes(bigrams)
    return model


def _extend(weights: dict[str, Tensor], model: SequenceClassifier) -> None:
    """More words as the model has them, and more positions with the vectors of the first ones over and over."""
    word, position = weights["embeddings.word"], weights["embeddings.position"]
    weights["embeddings.word"] = torch.cat([word, model.encoder.embeddings.word.detach()[len(word) :]])
    further = torch.arange(model.config.positions - len(position)) % (len(position) - 1)
    # The first position is that of [CLS] alone.
    weights["embeddings.position"] = torch.cat([position, position[1 + further]])


def _further(
    old: SequenceClassifier,
    known: Sequence[str],
    shape: ModelConfig,
    task: Task,
    seed: int,
    bigrams: Indices,
) -> SequenceClassifier:
    """A classifier with what another one knows; what it does not know is drawn anew, and adds nothing to the rest."""
    listed = old.encoder.embeddings.bigrams
    codes = bigrams
    if listed is not None:
        # The vocabulary, which the codes are made with, may have grown.
        previous, current = np.divmod(listed.codes.numpy(), old.config.vocab_size)
        kept = previous * shape.vocab_size + current
        codes = np.union1d(kept, bigrams)
    model = _new_classifier(replace(shape, bigrams=len(codes)), task, seed)
    weights = old.encoder.state_dict()
    _extend(weights, model)
    if listed is not None:
        table = torch.zeros(len(codes) + 1, shape.hidden_size)
        table[1 + torch.from_numpy(np.searchsorted(codes, kept))] = listed.table.detach()[1:]
        weights |= {"embeddings.bigrams.table": table, "embeddings.bigrams.codes": torch.from_numpy(codes)}
    model.encoder.load_state_dict(weights, strict=listed is not None or not len(codes))
    if model.encoder.embeddings.bigrams is not None and listed is None:
        model.encoder.embeddings.bigrams.set_codes(codes)
    model.pooler.load_state_dict(old.pooler.state_dict())
    with torch.no_grad():
        for row, label in enumerate(task.labels):
            if label in known:
                model.classifier.weight[row] = old.classifier.weight[known.index(label)]
                model.classifier.bias[row] = old.classifier.bias[known.index(label)]
    return model


def _new_classifier(shape: ModelConfig, task: Task, seed: int) -> SequenceClassifier:
    model = SequenceClassifier(shape, len(task.labels), task.problem_type)
    initialise(model, seed)
    if task.problem_type == SEVERAL_LABELS:
        _set_prior(model.classifier.bias, task.train.labels)
    return model


def _set_prior(bias: torch.Tensor, labels: npt.NDArray[np.int64]) -> None:
    """Let each label begin at its frequency: from 0.5 most updates would only learn that labels are rare."""
    share = (labels.sum(axis=0) + 0.5) / (len(labels) + 1)
    with torch.no_grad():
        bias.copy_(torch.from_numpy(np.log(share / (1 - share))))
