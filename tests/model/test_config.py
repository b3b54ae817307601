"""The presets have the shapes of the paper, and as many weights as the same BERT elsewhere."""

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from tinylm.core.errors import InputError
from tinylm.model.config import DEFAULT_PRESET, PRESETS, ModelConfig, preset
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd
from tinylm.model.heads import MaskedLanguageModel, initialise

# layers, width, heads, feed-forward, positions, vocabulary
PAPER = {
    "bert-6": (6, 768, 12, 3072, 128, 30_522),
    "bert-1": (1, 768, 12, 3072, 128, 30_522),
    "bert-1-24h": (1, 1536, 24, 6144, 128, 30_522),
    "bert-1-8h": (1, 512, 8, 2048, 128, 30_522),
    "bert-1-conv2-k3-d64": (1, 768, 12, 3072, 128, 30_522),
    "bert-1-conv2-k16-3-d64": (1, 768, 12, 3072, 128, 30_522),
    "bert-1-conv3-k3-d32": (1, 768, 12, 3072, 128, 30_522),
    "bert-1-8h-conv2-k3-d64": (1, 512, 8, 2048, 128, 30_522),
}
# (in, out, kernel) of every convolution, the one back to one channel included
CONVOLUTIONS = {
    "bert-1-conv2-k3-d64": [(1, 64, 3), (64, 64, 3), (64, 1, 1)],
    "bert-1-conv2-k16-3-d64": [(1, 64, 16), (64, 64, 3), (64, 1, 1)],
    "bert-1-conv3-k3-d32": [(1, 32, 3), (32, 32, 3), (32, 32, 3), (32, 1, 1)],
    "bert-1-8h-conv2-k3-d64": [(1, 64, 3), (64, 64, 3), (64, 1, 1)],
}


def unallocated(config):
    with torch.device("meta"):
        return MaskedLanguageModel(config)


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", PAPER)
def test_paper_shapes(name):
    config = preset(name)
    shape = (
        config.layers,
        config.hidden_size,
        config.heads,
        config.intermediate_size,
        config.positions,
        config.vocab_size,
    )
    assert shape == PAPER[name]
    assert config.head_size == 64
    assert isinstance(config.front_end, Conv2dFrontEnd) == (name in CONVOLUTIONS)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_paper_convolutions(name):
    front_end = unallocated(preset(name)).encoder.front_end
    found = [(c.in_channels, c.out_channels, c.kernel_size) for c in front_end.convolutions]
    assert found == [(i, o, (k, k)) for i, o, k in CONVOLUTIONS[name]]
    assert [norm.num_features for norm in front_end.norms] == [o for _, o, _ in CONVOLUTIONS[name]]


@pytest.mark.parametrize("name", PRESETS)
def test_as_many_weights_as_transformers(name):
    config = preset(name)
    theirs = BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.positions,
    )
    with torch.device("meta"):
        expected = count(BertForMaskedLM(theirs))
    match config.front_end:
        case Conv2dFrontEnd():
            # Weights and bias of each convolution, scale and shift of each norm.
            expected += sum(i * o * k * k + 3 * o for i, o, k in CONVOLUTIONS[name])
        case DepthwiseFrontEnd(kernel=kernel):
            expected += config.hidden_size * (kernel + 3)
    assert count(unallocated(config)) == expected


def test_small_presets_are_small():
    assert count(unallocated(preset(DEFAULT_PRESET))) < 1e7


def test_fields_of_a_preset_can_change():
    assert preset("bert-1", vocab_size=100).vocab_size == 100
    assert PRESETS["bert-1"].vocab_size == 30_522


def test_unknown_preset_names_those_there_are():
    with pytest.raises(InputError, match=r"no preset is called 'bert-7'.*bert-1-24h"):
        preset("bert-7")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 100, "heads": 12}, "hidden size 100 cannot be shared by 12 heads"),
        ({"heads": 0}, "heads is 0"),
        ({"heads": -1}, "heads is -1"),
        ({"layers": 0}, "layers is 0"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"positions": 2}, "positions is 2"),
    ],
)
def test_impossible_shapes(changes, message):
    with pytest.raises(InputError, match=message):
        ModelConfig(**changes)


def test_initial_weights():
    """N(0, 0.02^2) for matrices, 0 for biases, 1 for norms; the same for the same seed, whatever else is drawn."""
    config = preset("bert-1-w128", vocab_size=500, front_end=Conv2dFrontEnd(kernels=(3,), channels=4))
    first, again, other = (MaskedLanguageModel(config) for _ in range(3))
    initialise(first, 1)
    torch.manual_seed(5)
    initialise(again, 1)
    initialise(other, 2)
    for (name, p), q, r in zip(first.named_parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q), name
        if p.ndim > 1:
            assert not torch.equal(p, r), name
            # Six standard deviations of the sample's.
            assert p.std().item() == pytest.approx(0.02, rel=6 / (2 * p.numel()) ** 0.5), name
        else:
            assert set(p.tolist()) == {1.0 if "norm" in name and name.endswith("weight") else 0.0}, name


def test_a_tensor_keeps_its_first_weights_when_others_are_added():
    small, deep = (MaskedLanguageModel(preset("bert-1-w128", vocab_size=50, layers=n)) for n in (1, 2))
    initialise(small, 0)
    initialise(deep, 0)
    stored = deep.state_dict()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in small.state_dict().items())
