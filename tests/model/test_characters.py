"""Character embeddings add what they are defined to add, and merge into the word embedding."""

import numpy as np
import pytest
import torch
from scipy import sparse

from tinylm.model.characters import CharacterEmbeddings
from tinylm.model.config import ModelConfig
from tinylm.model.heads import SequenceClassifier, initialise

SHAPE = ModelConfig(vocab_size=12, hidden_size=16, heads=2, intermediate_size=32, positions=8)


@pytest.fixture
def ngrams():
    """Of ten pieces, the first two of which have none."""
    counts = np.random.default_rng(0).integers(0, 3, size=(10, 7))
    counts[:2] = 0
    return sparse.csr_matrix(counts)


def filled(ngrams, width=16):
    embeddings = CharacterEmbeddings(ngrams, width)
    torch.nn.init.normal_(embeddings.table, generator=torch.Generator().manual_seed(0))
    return embeddings


def test_a_piece_gets_the_sum_over_its_ngrams(ngrams):
    embeddings, present = filled(ngrams), (ngrams.toarray() > 0).astype(np.float32)
    expected = present @ embeddings.table.detach().numpy() / np.sqrt(np.maximum(present.sum(1), 1))[:, None]
    np.testing.assert_allclose(embeddings.every().detach(), expected, atol=1e-6)
    ids = torch.tensor([[3, 0, 9, 3], [1, 4, 9, 5]])
    np.testing.assert_allclose(embeddings(ids).detach(), expected[ids.numpy()], atol=1e-6)


def test_they_begin_at_nothing(ngrams):
    assert not CharacterEmbeddings(ngrams, 16).every().any()


def test_merged_a_model_computes_the_same(ngrams):
    model = SequenceClassifier(SHAPE, 3)
    initialise(model, 0)
    ids = torch.tensor([[2, 3, 0, 8, 3], [2, 1, 4, 9, 5]])
    before = model(ids, None)
    model.encoder.embeddings.characters = filled(ngrams)
    with_characters = model(ids, None)
    assert (with_characters - before).abs().max() > 1e-4
    model.encoder.embeddings.merge_characters()
    assert model.encoder.embeddings.characters is None
    assert not any("characters" in name for name in model.state_dict())
    torch.testing.assert_close(model(ids, None), with_characters, atol=1e-7, rtol=0)
