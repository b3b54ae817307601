"""The folded network says what torch says: in NumPy, and as a graph, whatever the shape of the member."""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from voters import write_member

from tinylm.committee.voting import PLAIN, Voting
from tinylm.exporting.graph import build_graph
from tinylm.exporting.quantise import quantized_blocks, quantized_rows
from tinylm.model.checkpoint import load_classifier
from tinylm.model.front_ends.base import NoFrontEnd
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd
from tinylm.model.operations import TokenBatch
from tinylm.runtime.backends import NumpyBackend, OnnxBackend
from tinylm.runtime.fold import FixedQuery, fold_member
from tinylm.runtime.numpy_backend import NumpyOperations

SHAPES = {
    "one layer": {},
    "one head": {"heads": 1},
    "three layers": {"layers": 3},
    "odd sizes": {"hidden_size": 21, "heads": 3, "intermediate_size": 50},
    "bigrams": {"bigrams": 2000},
    "one bigram": {"bigrams": 1},
    "bigrams before two layers": {"bigrams": 500, "layers": 2},
    "depthwise": {"front_end": DepthwiseFrontEnd(kernel=3)},
    "even depthwise": {"front_end": DepthwiseFrontEnd(kernel=4), "layers": 2},
    "convolutions": {"front_end": Conv2dFrontEnd(kernels=(3, 3), channels=4)},
    "even convolution": {"front_end": Conv2dFrontEnd(kernels=(4, 3), channels=3)},
}


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES.keys())  # type: ignore[call-overload]
def member(request, tokenizer, tmp_path_factory):
    return write_member(tmp_path_factory.mktemp("member"), tokenizer, 0, spread=0.3, **request.param)


def batch(vocabulary: int, *lengths: int):
    generator = np.random.default_rng(sum(lengths))
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    ids = generator.integers(0, vocabulary, mask.shape)
    ids[:, 0] = 2
    return TokenBatch(ids, mask)


def by_torch(folder, rows):
    model, _ = load_classifier(folder)
    with torch.inference_mode():
        return model.eval()(torch.from_numpy(rows.ids), torch.from_numpy(rows.mask).bool()).softmax(1).numpy()


def onnx_engine(folded, precision="float32"):
    return OnnxBackend(build_graph(folded, PLAIN, precision).SerializeToString(), 1, 1)


@pytest.mark.parametrize("lengths", [(2,), (3,), (32,), (9, 9), (2, 17, 32)], ids=str)
def test_arrays_and_graph_say_what_torch_says(member, tokenizer, lengths):
    rows, folded = batch(tokenizer.vocab_size, *lengths), [fold_member(member)]
    expected = by_torch(member, rows)
    assert expected.std() > 0.01, "a model without opinions proves nothing"
    for engine in (NumpyBackend(folded, PLAIN, 1), onnx_engine(folded)):
        found = engine.forward([rows])
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
        np.testing.assert_allclose(found.votes[:, 0], expected, atol=1e-5)
        assert found.probabilities.dtype == np.float32


@pytest.mark.parametrize(("precision", "near"), [("int8", 0.05), ("int4", 0.4)])
def test_quantized_weights_stay_near_and_do_not_look_at_other_texts(member, tokenizer, precision, near):
    folded = [fold_member(member)]
    engine, rows = onnx_engine(folded, precision), batch(tokenizer.vocab_size, 2, 17, 32)
    together = engine.forward([rows]).probabilities
    np.testing.assert_allclose(together, by_torch(member, rows), atol=near)
    for index, length in enumerate((2, 17, 32)):
        alone = TokenBatch(rows.ids[index : index + 1, :length], rows.mask[index : index + 1, :length])
        np.testing.assert_allclose(engine.forward([alone]).probabilities[0], together[index], atol=1e-5)


def test_only_a_lone_layer_on_the_embedding_has_a_fixed_query(member):
    folded = fold_member(member)
    assert isinstance(folded.read.query, FixedQuery) == (not folded.layers and folded.config.front_end == NoFrontEnd())


def test_attention_is_that_of_the_last_layer(tokenizer, tmp_path):
    folder = write_member(tmp_path, tokenizer, 3, layers=2)
    rows, (model, _) = batch(tokenizer.vocab_size, 5, 12), load_classifier(folder)
    ids, mask = torch.from_numpy(rows.ids), torch.from_numpy(rows.mask).bool()
    with torch.inference_mode():
        x = model.encoder.embeddings(ids)
        x = model.encoder.layers[0](x, mask, None, 0.0, None)
        attention = model.encoder.layers[1].attention
        query, key = (p(x).view(2, 12, 2, 8).transpose(1, 2) for p in (attention.query, attention.key))
        scores = (query[:, :, :1] @ key.transpose(2, 3) / 8**0.5).masked_fill(~mask[:, None, None, :], -torch.inf)
        expected = scores.softmax(-1)[:, :, 0].mean(1).numpy()
    folded = [fold_member(folder)]
    for engine in (NumpyBackend(folded, PLAIN, 1), onnx_engine(folded)):
        (found,) = engine.forward([rows]).attention
        np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)
        assert (found[:, 0][rows.mask == 0] == 0).all()


def test_the_graph_is_valid_and_free_of_shapes(member):
    graph = build_graph([fold_member(member)] * 2, Voting("logit"), "float32")
    onnx.checker.check_model(graph, full_check=False)
    inputs = {i.name: [d.dim_param for d in i.type.tensor_type.shape.dim] for i in graph.graph.input}
    assert inputs == {"input_ids": ["batch", "tokens"], "attention_mask": ["batch", "tokens"]}
    outputs = ["probabilities", "votes", "attention", "vectors_0", "vectors_1"]
    assert [o.name for o in graph.graph.output] == outputs


def test_gelu_is_that_of_torch():
    x = np.linspace(-9, 9, 20_001, dtype=np.float32)
    np.testing.assert_allclose(NumpyOperations().gelu(x), functional.gelu(torch.from_numpy(x)).numpy(), atol=2e-6)


def wide(rounded, scales, bits, into):
    """What rounded blocks stand for, and the scale of each."""
    numbers = rounded if bits == 8 else np.stack((rounded & 15, rounded >> 4), axis=3).reshape(*rounded.shape[:2], -1)
    block = numbers.shape[2]
    assert rounded.dtype == np.uint8 and 16 <= block <= 256 and block & (block - 1) == 0
    values = (numbers.astype(np.float64) - (1 << (bits - 1))) * scales[:, :, None]
    return values.reshape(len(values), -1)[:, :into], np.repeat(scales, block, axis=1)[:, :into]


@given(st.integers(1, 40), st.integers(1, 300), st.floats(1e-30, 1e30))
def test_rounding_to_eight_bits_is_off_by_half_a_step(out, into, scale):
    weight = (np.random.default_rng(out * into).standard_normal((out, into)) * scale).astype(np.float32)
    values, step = wide(*quantized_blocks(weight, 8), 8, into)
    assert (np.abs(values - weight) <= 0.505 * step).all()
    rows, row_scales = quantized_rows(weight)
    assert (np.abs(rows * row_scales - weight) <= 0.501 * row_scales).all()


@given(st.integers(1, 40), st.integers(1, 300))
def test_four_bits_are_nearer_than_a_scale_by_the_largest_weight(out, into):
    weight = np.random.default_rng(out * into).standard_normal((out, into)).astype(np.float32)
    values, _ = wide(*quantized_blocks(weight, 4), 4, into)
    largest = np.abs(weight).max(1, keepdims=True)
    plain = np.clip(np.rint(weight / largest * 7.5), -8, 7) * largest / 7.5
    assert np.square(values - weight).sum() <= np.square(plain - weight).sum() + 1e-6


def test_zeros_stay_zeros():
    for bits in (8, 4):
        rounded, scales = quantized_blocks(np.zeros((3, 20), np.float32), bits)
        assert (wide(rounded, scales, bits, 20)[0] == 0).all() and np.isfinite(scales).all()
    rows, scales = quantized_rows(np.zeros((3, 20), np.float32))
    assert (rows == 0).all() and np.isfinite(scales).all()
