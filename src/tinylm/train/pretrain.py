"""Pre-training of one member: masked language modelling (Devlin et al., 2019), and what [CLS] is asked besides."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tinylm.core.progress import Progress
from tinylm.core.seeds import member_seed, numpy_generator, torch_generator
from tinylm.model.config import ModelConfig
from tinylm.model.heads import IGNORED, BagOfWordsTargets, MaskedLanguageModel, SampledVocabulary, initialise
from tinylm.tokens.sequences import Packed, Pairs, Sequences, Truncated, split_documents
from tinylm.tokens.token_file import TokenFile, entropy
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.distributed import DistributedContext
from tinylm.train.masking import Masking, mask_rows
from tinylm.train.member import finish_member, partial_folder, settle_precision
from tinylm.train.sampler import Batch, LengthGroupedSampler, pad_mask
from tinylm.train.settings import PretrainSettings
from tinylm.train.trainer import Job, Trainer

_VALIDATION_ROWS = 256
_EVALUATIONS = 8
_SMOOTHING = 1e-3


class Pretraining(Job):
    """Guess hidden tokens, and with [CLS] the words of a passage and of its neighbour, and which its neighbour is.

    Negatives for the last come from the part of a batch that a process computes at once: `gradient_accumulation_steps` and more
    processes leave fewer.

    Args:
        name: what progress calls it.
        model: to be trained.
        train: rows to train on.
        validation: rows to validate on; the first 256 are used, with cuts and masks that never change.
        tokenizer: the vocabulary.
        settings: what is asked, batch size, seed.
        counts: (vocabulary,) occurrences of each token in the corpus.
        validation_seed: of the fixed cuts and masks; the same for all members, so that their losses compare.
        shared: whether several processes train the model, which exchange dense gradients only.

    Attributes:
        unigram_entropy: what the validation loss would be for a model that knows only how frequent each token is, in
            nats.
    """

    evaluations = _EVALUATIONS

    def __init__(
        self,
        name: str,
        model: MaskedLanguageModel,
        train: Sequences | Pairs,
        validation: Sequences | Pairs,
        tokenizer: Tokenizer,
        settings: PretrainSettings,
        counts: np.ndarray,
        validation_seed: int,
        *,
        shared: bool = False,
    ) -> None:
        self.name, self._model = name, model
        self._settings = settings
        self._train = train
        self._group = 2 if isinstance(train, Pairs) else 1
        lengths = np.full(len(train), model.config.positions) if isinstance(train, Pairs) else train.lengths
        self._order = LengthGroupedSampler(lengths, settings.batch_size // self._group, settings.seed)
        self._tokenizer = tokenizer
        self._special = torch.tensor([tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id])
        unknown = torch.tensor([tokenizer.unk_id])
        self._frequencies = torch.from_numpy(counts / max(1, counts.sum()))
        # Hidden tokens are guessed among the whole vocabulary, whose gradient is dense whatever the words do.
        self._samples = not settings.mlm_weight
        model.encoder.embeddings.sparse = self._samples and not shared
        self._word_weights = word_weights(counts, torch.cat((self._special, unknown)))
        self._known_words = (self._word_weights * self._frequencies).nonzero()[:, 0]
        self._masking = Masking(rate=settings.mlm_probability)
        self.batches_per_epoch = self._order.batches_per_epoch
        self._words = settings.bow_weight + settings.context_bow_weight
        self.chance_loss = math.log(tokenizer.vocab_size) * (settings.mlm_weight or self._words)
        asked = counts if settings.mlm_weight else counts * self._word_weights.double().numpy()
        self.unigram_entropy = entropy(asked)
        held = np.arange(min(_VALIDATION_ROWS // self._group, len(validation)))
        if not isinstance(validation, Pairs):
            held = np.argsort(validation.lengths[held], kind="stable")
        self._held = [
            self._batch(validation, part, validation_seed, index)
            for index, part in enumerate(np.array_split(held, -(-len(held) * self._group // 32)))
        ]

    @property
    def model(self) -> MaskedLanguageModel:
        """The model."""
        return self._model

    def batch(self, step: int) -> Batch:
        """The whole batch of an update."""
        return self._batch(self._train, self._order.batch(step), self._settings.seed, step)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator | None) -> Tensor:
        """The terms of the loss of a part of a batch, by their weights: hidden tokens, words, contrast."""
        settings = self._settings
        contrast = settings.infonce_weight > 0
        terms: Tensor = model(
            batch.ids,
            batch.mask,
            batch.reads,
            batch.targets,
            batch.words,
            contrast=contrast,
            rate=settings.dropout,
            generator=generator,
        )
        per_row = [self._words] if batch.words is not None else []
        per_row += [settings.infonce_weight] if contrast else []
        weights = [settings.mlm_weight] if batch.reads is not None else []
        return terms * terms.new_tensor(weights + [weight * batch.row_weight for weight in per_row])

    def validate(self) -> dict[str, float]:
        """Mean loss on the held-out rows, of hidden tokens if some are hidden, else of words."""
        device = next(self.model.parameters()).device.type
        total = 0.0
        for held in self._held:
            batch = held.to(device)
            words = batch.words if batch.reads is None else None
            total += self.model(batch.ids, batch.mask, batch.reads, batch.targets, words).item()
        return {"loss": total / sum(batch.weight for batch in self._held)}

    def sparse_parameters(self) -> nn.Parameter | None:
        """The word embedding, where only words of the batch are guessed among."""
        embeddings = self.model.encoder.embeddings
        return embeddings.word if embeddings.sparse else None

    def _batch(self, rows: Sequences | Pairs, indices: np.ndarray, seed: int, step: int) -> Batch:
        if isinstance(rows, Pairs):
            drawn, lengths = rows.draw(indices, numpy_generator(seed, "passages", step))
        else:
            drawn, lengths = rows.fetch(indices), rows.lengths[indices]
        ids = torch.from_numpy(drawn)
        mask, tokens = pad_mask(ids, lengths), int(lengths.sum())
        words = self._bag(ids, everything=rows is not self._train) if self._words else None
        if not self._settings.mlm_weight:
            return Batch(ids, mask, None, None, len(ids), tokens, words, group=self._group)
        generator = torch_generator(seed, "masks", step)
        masked = mask_rows(
            ids, self._special, self._masking, self._tokenizer.mask_id, self._tokenizer.vocab_size, generator
        )
        hidden = max(1, int((masked.targets != IGNORED).sum()))
        return Batch(
            masked.inputs,
            mask,
            masked.reads,
            masked.targets,
            hidden,
            tokens,
            words,
            row_weight=hidden / len(ids),
            group=self._group,
        )

    def _bag(self, ids: Tensor, *, everything: bool = False) -> BagOfWordsTargets:
        """The words that each row's [CLS] is asked for: weights of a row sum to 1.

        Unless tokens are hidden too, they are guessed among the words of the batch, which takes a tenth of the
        products, or among all words of the corpus, for validation.
        """
        weights = self._word_weights[ids]
        known = weights > 0
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-9)
        sample = None
        if self._samples and known.any():
            words = self._known_words if everything else torch.unique(ids[known])
            # What is no word weighs nothing, wherever it points.
            ids = torch.searchsorted(words, ids).clamp(max=len(words) - 1)
            chances = torch.ones(1) if everything else -torch.expm1(-self._frequencies[words] * int(known.sum()))
            sample = SampledVocabulary(words, chances.log().float())
        of_neighbours = self._settings.context_bow_weight / self._words
        if of_neighbours:
            ids = torch.cat((ids, _swapped(ids)), dim=1)
            weights = torch.cat(((1 - of_neighbours) * weights, of_neighbours * _swapped(weights)), dim=1)
        return BagOfWordsTargets(ids, weights, sample)


def _swapped(rows: Tensor) -> Tensor:
    """Rows 2i and 2i + 1 in each other's place."""
    return rows.view(len(rows) // 2, 2, -1).flip(1).flatten(0, 1)


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
        progress: who listens.

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
    job = Pretraining(
        name, model, train, validation, tokenizer, member, tokens.counts, settings.seed, shared=processes.size > 1
    )
    partial = partial_folder(folder)
    precision, reason = settle_precision(partial, member, shape, shape.positions * member.batch_size, processes)
    progress.say(f"{name}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M weights; {reason}")
    state = Trainer(job, member, partial, precision, processes, progress).run()
    loss, known = state.validation["loss"], job.unigram_entropy
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
