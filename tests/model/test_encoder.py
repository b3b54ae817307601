"""Readout and fold give what computing everything gives; padding changes nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from tinylm.model import encoder as encoder_module
from tinylm.model.config import ModelConfig
from tinylm.model.encoder import Attention, Encoder, dropout, fold_is_cheaper, gather_positions
from tinylm.model.front_ends.base import NoFrontEnd
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.heads import MaskedLanguageModel

PATHS = {"readout": False, "fold": True}


def outputs_and_gradients(model, ids, mask, reads, *, pick_after):
    """What a weighted sum of the read outputs is made of: the outputs and the gradient of every parameter."""
    model.zero_grad()
    output = gather_positions(model(ids, mask), reads) if pick_after else model(ids, mask, reads)
    probe = torch.randn(output.shape, generator=torch.Generator().manual_seed(7), dtype=output.dtype)
    (output * probe).sum().backward()
    return output.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}


def assert_like(actual, expected, what, tolerance=1e-5):
    error = (actual - expected).abs().max().item()
    assert error <= tolerance, f"{what} differs by {error:.1e}"


def assert_reading_is_picking(model, ids, mask, reads, fold):
    """In float32 to 1e-5 of the largest gradient, in float64 to 1e-11 of it: only rounding is left."""
    model = model.to(torch.float32)
    _assert_reading_is_picking(model, ids, mask, reads, fold, 1e-5)
    _assert_reading_is_picking(model.double(), ids, mask, reads, fold, 1e-11)


def _assert_reading_is_picking(model, ids, mask, reads, fold, tolerance):
    expected, expected_gradients = outputs_and_gradients(model, ids, mask, reads, pick_after=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_module, "fold_is_cheaper", lambda *_: fold)
        output, gradients = outputs_and_gradients(model, ids, mask, reads, pick_after=False)
    assert_like(output, expected, "output", tolerance)
    largest = max(1.0, *(gradient.abs().max().item() for gradient in expected_gradients.values()))
    for name, gradient in expected_gradients.items():
        assert_like(gradients[name], gradient, name, tolerance * largest)


@st.composite
def batches(draw, positions=48, vocabulary=60):
    """Ids with junk in the padding, a mask where rows differ in length, and read positions, repeated ones too."""
    lengths = torch.tensor(draw(st.lists(st.integers(1, positions), min_size=1, max_size=4)))
    count = draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    tokens = int(lengths.max())
    ids = torch.randint(vocabulary, (len(lengths), tokens), generator=generator)
    reads = (torch.rand(len(lengths), count, generator=generator) * lengths[:, None]).long()
    padded = int(lengths.min()) < tokens
    mask = torch.arange(tokens) < lengths[:, None] if padded or draw(st.booleans()) else None
    return ids, mask, reads


@pytest.mark.parametrize("path", PATHS)
@given(batch=batches(), layers=st.integers(1, 6), heads=st.sampled_from([1, 2, 3, 8]))
@settings(max_examples=30)
def test_reading_equals_computing_everything(path, shape, scramble, batch, layers, heads):
    model = scramble(Encoder(shape(layers=layers, heads=heads)))
    assert_reading_is_picking(model, *batch, PATHS[path])  # type: ignore[call-arg]


@pytest.mark.parametrize("path", PATHS)
@given(batch=batches(positions=20))
@settings(max_examples=6)
def test_reading_equals_computing_everything_behind_front_ends(path, front_end, shape, scramble, batch):
    model = scramble(Encoder(shape(layers=2, front_end=front_end))).eval()
    assert_reading_is_picking(model, *batch, PATHS[path])  # type: ignore[call-arg]


@pytest.mark.parametrize("tokens", [1, 2, 16, 17, 128])
def test_reading_equals_computing_everything_at_awkward_lengths(shape, scramble, tokens):
    model = scramble(Encoder(shape(positions=128)))
    ids = torch.randint(60, (2, tokens), generator=torch.Generator().manual_seed(0))
    for fold in PATHS.values():
        assert_reading_is_picking(model, ids, None, torch.tensor([[0], [tokens - 1]]), fold)


def test_masked_language_model_gives_the_logits_of_chosen_positions(shape, scramble):
    model = scramble(MaskedLanguageModel(shape(layers=2)))
    ids = torch.randint(60, (3, 11), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(11) < torch.tensor([11, 7, 2])[:, None]
    positions = torch.tensor([[1, 4, 10], [2, 6, 0], [1, 0, 0]])
    everywhere = model.head(model.encoder(ids, mask), model.encoder.embeddings.word)
    expected = gather_positions(everywhere, positions)
    torch.testing.assert_close(model(ids, mask, positions), expected, rtol=1e-5, atol=1e-5)


def test_only_read_positions_pass_the_last_feed_forward(shape):
    model = Encoder(shape(layers=2))
    seen = []
    for layer in model.layers:
        layer.intermediate.register_forward_hook(lambda _, inputs, __: seen.append(tuple(inputs[0].shape)))
    model(torch.zeros(2, 30, dtype=torch.long), None, torch.zeros(2, 4, dtype=torch.long))
    assert seen == [(2, 30, 24), (2, 4, 24)]


@pytest.mark.parametrize("heads", [1, 4, 12])
def test_the_cheaper_way_is_taken(heads):
    config = ModelConfig(hidden_size=96, heads=heads, positions=128)
    attention = Attention(config)
    for tokens in (2, 8, 32, 128):
        for reads in (1, 2, 5, 19, 128):
            if reads > tokens:
                continue
            x = torch.randn(1, tokens, 96)
            cost = {}
            for way in (attention.attend, attention.fold):
                # Without gradient, torch's fused attention hides its products from the counter.
                with FlopCounterMode(display=False) as counter:
                    way(x[:, :reads], x, None)
                cost[way.__name__] = counter.get_total_flops()
            if abs(cost["fold"] / cost["attend"] - 1) > 0.02:
                assert fold_is_cheaper(config, tokens, reads) == (cost["fold"] < cost["attend"]), (tokens, reads)


@pytest.mark.parametrize("mode", ["train", "eval"])
@given(batch=batches(positions=20), more=st.integers(1, 28))
@settings(max_examples=8)
def test_padding_changes_no_real_token(mode, front_end, shape, scramble, batch, more):
    ids, mask, _ = batch
    mask = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
    junk = torch.randint(60, (len(ids), more), generator=torch.Generator().manual_seed(1))
    wider = torch.cat([ids, junk], 1), torch.cat([mask, torch.zeros_like(junk, dtype=torch.bool)], 1)
    short, long = (scramble(Encoder(shape(layers=2, front_end=front_end))).train(mode == "train") for _ in range(2))
    expected, actual = short(ids, mask), long(*wider)[:, : ids.shape[1]]
    assert_like(actual[mask], expected[mask], "output")
    for (name, before), after in zip(short.named_buffers(), long.buffers(), strict=True):
        assert_like(after.float(), before.float(), name)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_an_unpadded_batch_needs_no_mask(mode, front_end, shape, scramble):
    ids = torch.randint(60, (3, 9), generator=torch.Generator().manual_seed(0))
    without, having = (scramble(Encoder(shape(front_end=front_end))).train(mode == "train") for _ in range(2))
    assert_like(having(ids, torch.ones_like(ids, dtype=torch.bool)), without(ids), "output")
    for (name, before), after in zip(without.named_buffers(), having.buffers(), strict=True):
        assert_like(after.float(), before.float(), name)


def test_the_front_end_is_the_one_asked_for(shape, front_end):
    model = Encoder(shape(front_end=front_end))
    extra = sum(p.numel() for p in model.front_end.parameters())
    assert (extra > 0) == (front_end != NoFrontEnd())
    if isinstance(front_end, Conv2dFrontEnd):
        assert [c.kernel_size for c in model.front_end.convolutions] == [*((k, k) for k in front_end.kernels), (1, 1)]
        assert {c.out_channels for c in model.front_end.convolutions[:-1]} == {front_end.channels}


def test_dropout_draws_from_its_generator_alone():
    x = torch.ones(100, 100)
    torch.manual_seed(0)
    first = dropout(x, 0.25, torch.Generator().manual_seed(3))
    torch.manual_seed(1)
    again = dropout(x, 0.25, torch.Generator().manual_seed(3))
    assert torch.equal(first, again)
    assert first.unique().tolist() == pytest.approx([0, 1 / 0.75])
    # 10,000 draws: six standard deviations are 0.026.
    assert (first == 0).double().mean().item() == pytest.approx(0.25, abs=0.026)
    assert not torch.equal(first, dropout(x, 0.25, torch.Generator().manual_seed(4)))
    assert dropout(x, 0.25, None) is x
    assert dropout(x, 0.0, torch.Generator()) is x


def test_dropout_reaches_the_model_in_training_and_only_with_a_generator(shape, scramble):
    model = scramble(Encoder(shape()))
    ids = torch.randint(60, (2, 9), generator=torch.Generator().manual_seed(0))
    plain = model(ids, rate=0.5)
    assert torch.equal(plain, model(ids))
    assert not torch.allclose(plain, model(ids, rate=0.5, generator=torch.Generator().manual_seed(0)), atol=0.1)
