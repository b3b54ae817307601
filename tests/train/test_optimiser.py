"""Lazy Adam is Adam on the rows that a batch uses; a head may learn faster; the state comes back bit for bit."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from tinylm.core.errors import InputError
from tinylm.train.optimiser import BETAS, EPSILON, Optimiser, clip_gradients
from tinylm.train.settings import TrainingSettings


class Tiny(nn.Module):
    """An embedding, sparse or not, and a line on it."""

    def __init__(self, rows=12):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.word = nn.Parameter(torch.randn(rows, 4, generator=generator))
        self.line = nn.Linear(4, 3)
        with torch.no_grad():
            for p in self.line.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))

    def forward(self, ids, *, sparse):
        return self.line(functional.embedding(ids, self.word, sparse=sparse)).square().sum()


class Headed(nn.Module):
    """A head on an encoder."""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = Tiny(), nn.Linear(3, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.randn(2, 3, generator=torch.Generator().manual_seed(2)))
            self.head.bias.fill_(0.5)

    @property
    def word(self):
        return self.encoder.word

    def forward(self, ids, *, sparse):
        encoded = self.encoder.line(functional.embedding(ids, self.encoder.word, sparse=sparse))
        return self.head(encoded).square().sum()


def batches(count, rows=12):
    """Some rows, some of them twice; the last row never."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(rows - 1, (5,), generator=generator) for _ in range(count)]


def settings(**changes):
    return TrainingSettings(**({"steps": 1, "max_grad_norm": 1e9, "weight_decay": 0.1} | changes))


def step(model, optimiser, ids, rate, *, sparse=True):
    model(ids, sparse=sparse).backward()
    return optimiser.update(rate)


def test_lazy_adam_is_adam_on_the_rows_in_use():
    model = Tiny()
    optimiser = Optimiser(model, settings(), sparse={model.word: 1.0})
    value = model.word.detach().clone().double()
    mean, square = torch.zeros_like(value), torch.zeros_like(value)
    for number, ids in enumerate(batches(30), start=1):
        rate = 0.01 * number / 30
        dense = torch.autograd.grad(model(ids, sparse=False), model.word)[0].double()
        step(model, optimiser, ids, rate)
        used = ids.unique()
        mean[used] = BETAS[0] * mean[used] + (1 - BETAS[0]) * dense[used]
        square[used] = BETAS[1] * square[used] + (1 - BETAS[1]) * dense[used].square()
        corrected = mean / (1 - BETAS[0] ** number), square / (1 - BETAS[1] ** number)
        value[used] -= (rate * corrected[0] / (corrected[1].sqrt() + EPSILON))[used]
        torch.testing.assert_close(model.word.detach().double(), value, rtol=1e-6, atol=1e-6)
    stored = optimiser.tensors()
    torch.testing.assert_close(stored["word/exp_avg"].double(), mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(stored["word/exp_avg_sq"].double(), square, rtol=1e-5, atol=1e-4)


def test_rows_out_of_use_keep_everything():
    model = Tiny()
    before = model.word.detach().clone()
    optimiser = Optimiser(model, settings(), sparse={model.word: 1.0})
    step(model, optimiser, torch.tensor([1, 2]), 0.1)
    after_one = {name: tensor.clone() for name, tensor in optimiser.tensors().items()}
    step(model, optimiser, torch.tensor([2, 3]), 0.1)
    changed = (model.word != before).any(1)
    assert changed.nonzero().flatten().tolist() == [1, 2, 3]
    for moment in ("word/exp_avg", "word/exp_avg_sq"):
        differs = (optimiser.tensors()[moment] != after_one[moment]).any(1)
        assert differs.nonzero().flatten().tolist() == [2, 3]


def test_the_rest_is_adamw_with_weight_decay_on_matrices():
    model, reference = Tiny(), Tiny()
    optimiser = Optimiser(model, settings())
    theirs = torch.optim.AdamW(
        [
            {"params": [reference.word, reference.line.weight], "weight_decay": 0.1},
            {"params": [reference.line.bias], "weight_decay": 0.0},
        ],
        betas=BETAS,
        eps=EPSILON,
    )
    for ids in batches(10):
        step(model, optimiser, ids, 0.01, sparse=False)
        for group in theirs.param_groups:
            group["lr"] = 0.01
        theirs.zero_grad()
        reference(ids, sparse=False).backward()
        theirs.step()
    for p, q in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_head_takes_steps_as_many_times_as_large_as_is_asked(lazy, decay):
    def moved(**options):
        model, before = Headed(), Headed().state_dict()
        optimiser = Optimiser(model, settings(weight_decay=decay), sparse={model.word: 1.0} if lazy else {}, **options)
        step(model, optimiser, torch.tensor([1, 2, 2, 5]), 0.01, sparse=lazy)
        return {name: tensor - before[name] for name, tensor in model.state_dict().items()}

    plain, once, five = moved(), moved(head_lr_multiplier=1.0), moved(head_lr_multiplier=5.0)
    for name, change in plain.items():
        assert change.abs().max() > 0.009, name
        assert torch.equal(once[name], change), name
        if name.startswith("encoder."):
            assert torch.equal(five[name], change), name
        else:
            torch.testing.assert_close(five[name], 5 * change, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize(("kind", "head_lr_multiplier"), [(Tiny, 1.0), (Headed, 5.0)])
def test_the_state_comes_back_bit_for_bit(lazy, kind, head_lr_multiplier):
    def make():
        model = kind()
        return model, Optimiser(
            model, settings(), sparse={model.word: 1.0} if lazy else {}, head_lr_multiplier=head_lr_multiplier
        )

    (model, optimiser), (resumed, fresh) = make(), make()
    steps = batches(12)
    for ids in steps[:6]:
        step(model, optimiser, ids, 0.01, sparse=lazy)
    stored = copy.deepcopy(optimiser.tensors())
    resumed.load_state_dict(model.state_dict())
    fresh.restore(copy.deepcopy(stored))
    assert fresh.tensors().keys() == stored.keys()
    assert len(stored) == 3 * len(list(model.parameters()))
    for name, tensor in fresh.tensors().items():
        assert torch.equal(tensor, stored[name]), name
    for ids in steps[6:]:
        step(model, optimiser, ids, 0.01, sparse=lazy)
        step(resumed, fresh, ids, 0.01, sparse=lazy)
    for p, q in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("line.bias/exp_avg"), r"has no state for line\.bias"),
        (lambda state: state.update({"other/step": torch.tensor(1)}), "has a state too many, other/step"),
        (lambda state: state.update({"word/exp_avg": torch.zeros(2, 4)}), "has another shape for word"),
    ],
)
def test_a_state_of_another_model_is_refused(change, message):
    model = Tiny()
    optimiser = Optimiser(model, settings())
    step(model, optimiser, torch.tensor([0]), 0.1, sparse=False)
    state = optimiser.tensors()
    change(state)
    with pytest.raises(InputError, match=message):
        Optimiser(Tiny(), settings()).restore(state)


@pytest.mark.parametrize("largest", [0.1, 1e9])
def test_clipping_sees_sparse_and_dense_gradients_together(largest):
    ids = torch.tensor([1, 1, 3])
    model, reference = Tiny(), Tiny()
    model(ids, sparse=True).backward()
    reference(ids, sparse=False).backward()
    norm = clip_gradients(list(model.parameters()), largest)
    expected = nn.utils.clip_grad_norm_(reference.parameters(), largest)
    assert norm == pytest.approx(expected.item(), rel=1e-6)
    assert model.word.grad.is_sparse
    for p, q in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(p.grad.to_dense() if p.grad.is_sparse else p.grad, q.grad, rtol=1e-6, atol=1e-6)


def test_an_update_clips_and_forgets():
    """Without clipping, Adam would take the scale of a gradient out again; its moments show what it saw."""
    model = Tiny()
    optimiser = Optimiser(model, settings(max_grad_norm=0.5), sparse={model.word: 1.0})
    norm = step(model, optimiser, torch.tensor([1, 2]), 0.1)
    assert norm > 0.5
    moments = [tensor for name, tensor in optimiser.tensors().items() if name.endswith("exp_avg")]
    seen = torch.stack([m.square().sum() for m in moments]).sum().sqrt() / (1 - BETAS[0])
    assert seen.item() == pytest.approx(0.5, rel=1e-4)
    assert all(p.grad is None for p in model.parameters())


def test_an_update_does_not_import_the_compiler():
    """Which takes seconds, and each process that trains would pay them."""
    program = """
import sys
import torch
from tinylm.train.optimiser import Optimiser
from tinylm.train.settings import TrainingSettings

words, line = torch.nn.Embedding(3, 2, sparse=True), torch.nn.Linear(2, 2)
lazy = Optimiser(words, TrainingSettings(steps=1), sparse={words.weight: 1.0})
dense = Optimiser(line, TrainingSettings(steps=1))
line(words(torch.tensor([1]))).sum().backward()
lazy.update(0.1)
dense.update(0.1)
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
