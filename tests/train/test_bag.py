"""[CLS] is asked for the words of its row: the loss is what its definition says, whole or in parts."""

import math

import numpy as np
import pytest
import torch

from tinylm.model.heads import IGNORED, MaskedLanguageModel, initialise
from tinylm.text.tokens import FirstTokens, split_documents
from tinylm.train.pretrain import MaskedLanguageModelling, word_weights
from tinylm.train.settings import PretrainSettings

GENERATOR = None


@pytest.fixture
def make_job(tokens, tokenizer, shape):
    def make(weight: float) -> MaskedLanguageModelling:
        model = MaskedLanguageModel(shape())
        initialise(model, 0)
        train, held = split_documents(len(tokens), 0)
        views = (FirstTokens(tokens, part, model.config.positions) for part in (train, held))
        settings = PretrainSettings(steps=1, batch_size=8, bag_of_words=weight)
        return MaskedLanguageModelling("test", model, *views, tokenizer, settings, tokens.counts, 0)

    return make


def plain_loss(job, batch, weight: float) -> float:
    """One row at a time, everything computed, every logarithm taken by itself."""
    model, weights = job.model, job._word_weights
    total = 0.0
    for row in range(len(batch.ids)):
        real = None if batch.mask is None else batch.mask[row : row + 1]
        hidden = model.encoder(batch.ids[row : row + 1], real)
        guesses = model.head(hidden, model.encoder.embeddings.word)[0].log_softmax(-1)
        pairs = [(r, t) for r, t in zip(batch.reads[row], batch.targets[row], strict=True) if t != IGNORED]
        total -= sum(guesses[read, target].item() for read, target in pairs)
        share = sum(weights[word].item() for word in batch.words[row])
        bag = sum(weights[word].item() / share * guesses[0, word].item() for word in batch.words[row])
        total -= weight * len(pairs) * bag
    return total


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_the_loss_is_that_of_computing_everything(make_job, weight):
    job = make_job(weight)
    batch = job.batch(0)
    with torch.no_grad():
        loss = job.loss(job.model, batch, GENERATOR).sum().item()
        assert loss == pytest.approx(plain_loss(job, batch, weight), rel=1e-5)


def test_parts_add_up_to_the_whole(make_job):
    job = make_job(0.5)
    batch = job.batch(0)
    with torch.no_grad():
        parts = sum(job.loss(job.model, part, GENERATOR).sum().item() for part in batch.parts(3))
        assert parts == pytest.approx(job.loss(job.model, batch, GENERATOR).sum().item(), rel=1e-5)


def test_without_it_nothing_is_asked_of_cls_and_validation_is_the_same(make_job):
    asked, unasked = make_job(0.5), make_job(0.0)
    assert unasked.batch(0).words is None
    with torch.no_grad():
        assert asked.validate() == unasked.validate()


def test_frequent_and_special_tokens_count_little():
    counts = np.array([5, 0, 600, 390, 5])
    weights = word_weights(counts, torch.tensor([0]))
    expected = [0.0, 1.0, 1e-3 / (1e-3 + 0.6), 1e-3 / (1e-3 + 0.39), 1e-3 / (1e-3 + 0.005)]
    assert all(math.isclose(w, e, rel_tol=1e-6) for w, e in zip(weights.tolist(), expected, strict=True))
