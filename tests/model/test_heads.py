"""The terms of the pre-training loss, each by itself, and that asking for several changes none."""

import math

import pytest
import torch

from tinylm.model.heads import IGNORED, BagOfWordsTargets, MaskedLanguageModel, contrast_sum

ROWS, TOKENS = 6, 11


@pytest.fixture
def asked():
    """What a batch can ask for: rows of ids, their mask, and each of the three terms."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(60, (ROWS, TOKENS), generator=generator)
    mask = torch.arange(TOKENS) < torch.tensor([11, 7, 2, 5, 11, 9])[:, None]
    reads = torch.tensor([[1, 4, 10], [2, 6, 0], [1, 0, 0], [3, 1, 4], [9, 0, 0], [0, 0, 0]])
    targets = torch.where(reads > 0, reads + 20, IGNORED)
    bag = BagOfWordsTargets(
        torch.randint(60, (ROWS, 4), generator=generator),
        torch.rand(ROWS, 4, generator=generator) * mask[:, :4],
    )
    return ids, mask, {"reads": reads, "targets": targets}, {"bag": bag}, {"contrast": True}


def test_terms_come_in_their_order_and_are_what_they_are_alone(asked, shape, scramble):
    ids, mask, hidden, words, contrast = asked
    nothing = {"reads": None, "targets": None}
    model = scramble(MaskedLanguageModel(shape(layers=2)))
    with torch.no_grad():
        alone = [model(ids, mask, **(nothing | term)) for term in (hidden, words, contrast)]
        assert [term.shape for term in alone] == [(1,)] * 3
        assert len({round(term.item(), 3) for term in alone}) == 3
        for chosen in ((0, 1), (0, 2), (1, 2), (0, 1, 2)):
            terms = [(hidden, words, contrast)[i] for i in chosen]
            together = model(ids, mask, **(nothing | {k: v for term in terms for k, v in term.items()}))
            torch.testing.assert_close(together, torch.cat([alone[i] for i in chosen]), rtol=1e-5, atol=1e-5)


def test_words_are_asked_of_cls_by_their_weights(asked, shape, scramble):
    ids, mask, _, words, _ = asked
    bag = words["bag"]
    model = scramble(MaskedLanguageModel(shape(layers=2)))
    with torch.no_grad():
        found = model(ids, mask, None, None, bag).item()
        guesses = model.head(model.encoder(ids, mask), model.encoder.embeddings.word)[:, 0].log_softmax(-1)
    expected = -sum(
        bag.weights[row, i].item() * guesses[row, bag.ids[row, i]].item() for row in range(ROWS) for i in range(4)
    )
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("pairs", [1, 2, 9])
def test_contrast_is_cross_entropy_over_cosines(pairs):
    cls = torch.randn(2 * pairs, 5, generator=torch.Generator().manual_seed(pairs), dtype=torch.float64)
    cosines = [[torch.cosine_similarity(one, other, dim=0).item() for other in cls] for one in cls]
    expected = 0.0
    for row in range(2 * pairs):
        others = [other for other in range(2 * pairs) if (other - row) % 2]
        everyone = math.log(sum(math.exp(cosines[row][other] / 0.05) for other in others))
        expected += everyone - cosines[row][row ^ 1] / 0.05
    assert contrast_sum(cls.float()).item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_contrast_knows_the_ends():
    """Nothing to choose from costs nothing, neighbours alike and strangers opposite nearly so, all alike the most."""
    one, other = torch.tensor([[3.0, 0.0]]), torch.tensor([[-0.1, 0.0]])
    assert contrast_sum(torch.cat((one, other))).item() == 0.0
    assert contrast_sum(torch.cat((one, one, other, other))).item() < 1e-6
    assert contrast_sum(one.expand(8, 2)).item() == pytest.approx(8 * math.log(4))
    assert contrast_sum(torch.cat((one, other, other, one))).item() == pytest.approx(4 * 40)
