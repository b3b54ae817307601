"""The workload of pre-training: sequences of a corpus, and the objectives of a recipe."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tinylm.core.errors import InputError
from tinylm.core.seeds import numpy_generator
from tinylm.model.heads import MaskedLanguageModel
from tinylm.tokens.sequences import Pairs, Sequences
from tinylm.tokens.token_file import entropy
from tinylm.train.batch import Batch, Targets, pad_mask
from tinylm.train.masking import IGNORED, MaskedSequences
from tinylm.train.objectives.bag_of_words import BagOfWords
from tinylm.train.objectives.base import Draw, HiddenStates, Objective, ObjectiveFactory, TokenStatistics
from tinylm.train.objectives.contrastive import NeighbourContrast
from tinylm.train.objectives.mlm import MaskedTokens
from tinylm.train.sampler import LengthGroupedSampler
from tinylm.train.settings import PretrainSettings
from tinylm.train.workload import Measures, Terms, Workload

_VALIDATION_SEQUENCES = 256
_EVALUATIONS = 8
_EVALUATION_BATCH = 32


def built_in_objectives(settings: PretrainSettings, statistics: TokenStatistics) -> list[Objective]:
    """The objectives that settings give a weight; the first is the one whose loss is validated."""
    objectives: list[Objective] = []
    if settings.mlm_weight:
        objectives.append(MaskedTokens(settings.mlm_weight, settings.mlm_probability, statistics))
    if settings.bow_weight + settings.context_bow_weight:
        # Masked tokens are predicted among the whole vocabulary, whose gradient is dense whatever the words do.
        sampled = not settings.mlm_weight
        objectives.append(BagOfWords(settings.bow_weight, settings.context_bow_weight, statistics, sampled=sampled))
    if settings.infonce_weight:
        objectives.append(NeighbourContrast(settings.infonce_weight))
    return objectives


class LossTerms(nn.Module):
    """The model with its objectives: a batch to the terms of its loss."""

    def __init__(self, model: MaskedLanguageModel, objectives: Sequence[Objective]) -> None:
        super().__init__()
        self.model = model
        self._objectives = tuple(objectives)

    def forward(self, batch: Batch, rate: float = 0.0, generator: torch.Generator | None = None) -> Terms:
        """Terms by the names of their objectives, in nats, each summed over the batch, without weights.

        Args:
            batch: with the targets of every objective.
            rate: dropout.
            generator: where dropout draws from; None drops nothing.
        """
        chosen = [objective for objective in self._objectives if objective.name in batch.targets]
        # The last layer computes [CLS] only where something is predicted from it.
        cls = int(any(objective.from_cls for objective in chosen))
        positions = torch.zeros(len(batch.ids), cls, dtype=torch.long, device=batch.ids.device)
        if batch.masked_positions is not None:
            positions = torch.cat((positions, batch.masked_positions), dim=1)
        states = self.model.encoder(batch.ids, batch.mask, positions, rate=rate, generator=generator)
        hidden = HiddenStates(states[:, 0], None if batch.masked_positions is None else states[:, cls:])
        return {
            objective.name: objective.term(self.model, hidden, batch.targets[objective.name]) for objective in chosen
        }


class Pretraining(Workload):
    """Pre-train one member.

    Args:
        name: of the stage, for progress.
        model: to be trained.
        train: sequences to train on.
        validation: sequences to validate on; the first 256 are used, with cuts and masks that never change.
        statistics: of the corpus.
        settings: weights of the objectives, batch size, seed.
        validation_seed: of the fixed cuts and masks; the same for all members, so that their losses compare.
        objectives: further objectives.
        shared: whether several processes train the model, which exchange dense gradients only.

    Raises:
        InputError: an objective needs neighbouring passages, and the sequences are no pairs; or two have one name.
    """

    evaluations = _EVALUATIONS

    def __init__(
        self,
        name: str,
        model: MaskedLanguageModel,
        train: Sequences | Pairs,
        validation: Sequences | Pairs,
        statistics: TokenStatistics,
        settings: PretrainSettings,
        validation_seed: int,
        *,
        objectives: Sequence[ObjectiveFactory] = (),
        shared: bool = False,
    ) -> None:
        self.name, self._model, self._settings = name, model, settings
        self._train, self._group = train, 2 if isinstance(train, Pairs) else 1
        lengths = np.full(len(train), model.config.positions) if isinstance(train, Pairs) else train.lengths
        self._sampler = LengthGroupedSampler(lengths, settings.batch_size // self._group, settings.seed)
        self.batches_per_epoch = self._sampler.batches_per_epoch
        self.objectives = built_in_objectives(settings, statistics) + [make(statistics) for make in objectives]
        _check(self.objectives, pairs=self._group == 2)
        self._terms = LossTerms(model, self.objectives)
        model.encoder.embeddings.sparse = not (shared or any(o.dense_embedding_gradient for o in self.objectives))
        first = self.objectives[0]
        self.uniform_loss = math.log(statistics.tokenizer.vocab_size) * first.weight
        counts = statistics.counts
        if isinstance(first, BagOfWords):
            counts = counts * first.word_weights.double().numpy()
        self.unigram_entropy = entropy(counts)
        """Validation loss of a model that knows only how frequent each token is, in nats."""
        self._validation = self._fixed_batches(validation, np.arange(len(validation)), validation_seed)
        spread = np.linspace(0, len(train) - 1, min(len(train), _VALIDATION_SEQUENCES), dtype=np.int64)
        self._fixed_training = self._fixed_batches(train, spread, validation_seed, len(self._validation))

    @property
    def model(self) -> MaskedLanguageModel:
        """The model."""
        return self._model

    @property
    def module(self) -> nn.Module:
        """The model with its objectives."""
        return self._terms

    def batch(self, step: int) -> Batch:
        """The whole batch of an update."""
        return self._batch(self._train, self._sampler.batch(step), Draw(self._settings.seed, step), self.objectives)

    def loss(self, module: nn.Module, batch: Batch, generator: torch.Generator | None) -> Terms:
        """See `Workload.loss`; terms of whole sequences are scaled as `Batch` says."""
        terms: Terms = module(batch, self._settings.dropout, generator)
        scale = batch.predictions_per_sequence
        return {o.name: terms[o.name] * (o.weight * scale if o.from_cls else o.weight) for o in self.objectives}

    def validate(self) -> Measures:
        """Mean loss of the first objective on held-out sequences, among the whole vocabulary."""
        return self._mean_loss(self._validation)

    def measure_training_data(self) -> Measures:
        """The same on as many sequences that are trained on."""
        return self._mean_loss(self._fixed_training)

    def sparse_parameters(self) -> Mapping[nn.Parameter, float]:
        """The word embedding, where only words of the batch are predicted among."""
        embeddings = self.model.encoder.embeddings
        return {embeddings.word: 1.0} if embeddings.sparse else {}

    def _mean_loss(self, batches: Sequence[Batch]) -> Measures:
        device = next(self.model.parameters()).device.type
        first = self.objectives[0].name
        total = sum(self._terms(batch.to(device))[first].item() for batch in batches)
        return {"loss": total / sum(batch.predictions for batch in batches)}

    def _fixed_batches(
        self, sequences: Sequences | Pairs, indices: np.ndarray, seed: int, first: int = 0
    ) -> list[Batch]:
        """Batches of some sequences whose cuts and masks never change, with the targets of the first objective."""
        chosen = indices[: _VALIDATION_SEQUENCES // self._group]
        if not isinstance(sequences, Pairs):
            chosen = chosen[np.argsort(sequences.lengths[chosen], kind="stable")]
        parts = np.array_split(chosen, -(-len(chosen) * self._group // _EVALUATION_BATCH))
        return [
            self._batch(sequences, part, Draw(seed, index, exact=True), self.objectives[:1])
            for index, part in enumerate(parts, start=first)
        ]

    def _batch(
        self, sequences: Sequences | Pairs, indices: np.ndarray, draw: Draw, objectives: Sequence[Objective]
    ) -> Batch:
        if isinstance(sequences, Pairs):
            fetched, lengths = sequences.draw(indices, numpy_generator(draw.seed, "passages", draw.step))
        else:
            fetched, lengths = sequences.fetch(indices), sequences.lengths[indices]
        ids = torch.from_numpy(fetched)
        targets: dict[str, Tensor | Targets] = {}
        masked: MaskedSequences | None = None
        for objective in objectives:
            prepared = objective.prepare(ids, draw)
            targets[objective.name], masked = prepared.targets, prepared.masked or masked
        predictions = len(ids) if masked is None else max(1, int((masked.targets != IGNORED).sum()))
        return Batch(
            ids if masked is None else masked.inputs,
            pad_mask(ids, lengths),
            predictions,
            int(lengths.sum()),
            targets,
            None if masked is None else masked.positions,
            predictions_per_sequence=predictions / len(ids),
            group=self._group,
        )


def _check(objectives: Sequence[Objective], *, pairs: bool) -> None:
    names = [objective.name for objective in objectives]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"two objectives are called {repeated!r}; give each a name of its own")
    lonely = next((objective.name for objective in objectives if objective.needs_pairs and not pairs), None)
    if lonely is not None:
        raise InputError(f"the objective {lonely!r} needs neighbouring passages; set sequences to pairs")
