"""The quicker ways of computing a thing give what the plain way gives."""

import pytest
import torch
from torch.nn import functional

from tinylm.model.encoder import attention
from tinylm.model.losses import cross_entropy_sum


def _value_and_gradients(function, *inputs, upstream=None):
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    # The copy stands for a layer before: its result may be overwritten.
    value = function(*(leaf * 1.0 for leaf in leaves))
    upstream = torch.full_like(value, 0.25) if upstream is None else upstream
    return value.detach(), torch.autograd.grad(value, leaves, upstream)


@pytest.mark.parametrize("rows", [0, 1, 34, 101])
def test_blockwise_cross_entropy_is_cross_entropy(rows):
    generator = torch.Generator().manual_seed(rows)
    logits = 5 * torch.randn(rows, 30_522, generator=generator)
    targets = torch.randint(30_522, (rows,), generator=generator)
    fast, (fast_gradient,) = _value_and_gradients(lambda x: cross_entropy_sum(x, targets), logits)
    plain, (plain_gradient,) = _value_and_gradients(
        lambda x: functional.cross_entropy(x, targets, reduction="sum"), logits
    )
    torch.testing.assert_close(fast, plain, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(fast_gradient, plain_gradient, rtol=1e-5, atol=1e-7)


def test_blockwise_cross_entropy_of_bfloat16_is_computed_in_float32():
    generator = torch.Generator().manual_seed(0)
    logits = (5 * torch.randn(70, 30_522, generator=generator)).bfloat16()
    targets = torch.randint(30_522, (70,), generator=generator)
    fast, (fast_gradient,) = _value_and_gradients(lambda x: cross_entropy_sum(x, targets), logits)
    plain, (plain_gradient,) = _value_and_gradients(
        lambda x: functional.cross_entropy(x.float(), targets, reduction="sum"), logits
    )
    assert fast.dtype == torch.float32
    torch.testing.assert_close(fast, plain, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(fast_gradient, plain_gradient, rtol=1e-2, atol=1e-6)


def test_a_second_backward_pass_over_overwritten_logits_is_an_error():
    weights = torch.randn(3, 50, requires_grad=True)
    loss = cross_entropy_sum(weights * 1.0, torch.tensor([1, 2, 3]))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("masked", [False, True])
def test_plain_attention_in_bfloat16_is_as_near_to_float32_as_the_fused_kernel(masked):
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(4, 3, 40, 16, generator=generator).bfloat16() for _ in range(3))
    mask = torch.arange(40) < torch.tensor([40, 1, 17, 33])[:, None, None, None] if masked else None
    upstream = torch.randn(4, 3, 40, 16, generator=generator).bfloat16()

    def fused(*tensors):
        return functional.scaled_dot_product_attention(*tensors, attn_mask=mask)  # type: ignore[misc]

    def error(results):
        exact_value, exact_gradients = _value_and_gradients(
            fused, q.float(), k.float(), v.float(), upstream=upstream.float()
        )
        value, gradients = results
        pairs = zip((value, *gradients), (exact_value, *exact_gradients), strict=True)
        return torch.stack([(ours.float() - exact).norm() / exact.norm() for ours, exact in pairs])

    plain = error(_value_and_gradients(lambda *tensors: attention(*tensors, mask), q, k, v, upstream=upstream))  # type: ignore[call-arg]
    kernel = error(_value_and_gradients(fused, q, k, v, upstream=upstream))
    assert (plain < 0.01).all()
    assert (plain < 2 * kernel + 1e-3).all()


def test_attention_without_bfloat16_is_the_fused_kernel():
    generator = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(2, 3, 9, 8, generator=generator) for _ in range(3))
    assert torch.equal(attention(q, k, v, None), functional.scaled_dot_product_attention(q, k, v))
