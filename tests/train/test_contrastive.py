"""InfoNCE over neighbouring passages."""

import math

import pytest
import torch

from tinylm.train.objectives.contrastive import contrast_sum


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
