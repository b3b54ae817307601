"""Batch norm over real tokens only is batch norm of the real tokens."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tinylm.model.batch_norm import MaskedBatchNorm2d


def pair(channels, seed=0):
    """Ours and torch's, with the same weights and running statistics."""
    ours, theirs = MaskedBatchNorm2d(channels), nn.BatchNorm2d(channels)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            if one.is_floating_point():
                other.copy_(one.copy_(torch.rand(one.shape, generator=generator) + 0.5))
    return ours, theirs


def gather(x, mask):
    """The real tokens of (batch, channels, tokens, features) as one image (1, channels, real tokens, features)."""
    return x.transpose(1, 2)[mask].transpose(0, 1)[None]


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    channels=st.integers(1, 4),
    features=st.integers(2, 6),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40)
def test_training_equals_batch_norm_of_the_real_tokens(lengths, channels, features, seed):
    ours, theirs = pair(channels, seed)
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths) + 2) < torch.tensor(lengths)[:, None]
    inputs = torch.randn(len(lengths), channels, mask.shape[1], features, generator=generator) * 3 + 5
    x, y = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()
    for _ in range(2):
        output, expected = gather(ours(x, mask), mask), theirs(gather(y, mask))
        torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)
        probe = torch.randn(expected.shape, generator=generator)
        (output * probe).sum().backward()
        (expected * probe).sum().backward()
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(dict(ours.named_buffers())[name], buffer, rtol=1e-5, atol=1e-5)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gather(x.grad, mask), gather(y.grad, mask), rtol=1e-3, atol=1e-3)
    assert not x.grad.transpose(1, 2)[~mask].any()


@pytest.mark.parametrize("training", [True, False])
def test_without_a_mask_it_is_batch_norm(training):
    ours, theirs = (norm.train(training) for norm in pair(3))
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(ours(x, None), theirs(x), rtol=0, atol=0)
    for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_evaluation_takes_the_running_statistics():
    ours, theirs = (norm.eval() for norm in pair(3))
    x, mask = torch.randn(2, 3, 5, 4), torch.arange(5) < torch.tensor([5, 2])[:, None]
    torch.testing.assert_close(ours(x, mask), theirs(x), rtol=0, atol=0)


def test_statistics_keep_their_precision_in_bfloat16():
    ours, theirs = pair(2)
    mask = torch.arange(130) < torch.tensor([129, 101, 67])[:, None]
    x = (torch.randn(3, 2, 130, 50, generator=torch.Generator().manual_seed(0)) + 3).bfloat16()
    assert ours(x, mask).dtype == torch.bfloat16
    theirs(gather(x, mask).float())
    for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
