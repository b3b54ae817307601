"""Hiding tokens is a pure function that touches ordinary tokens only."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinylm.train.masking import IGNORED, Masking, mask_sequences

PAD, CLS, SEP, MASK, VOCABULARY = 0, 2, 3, 4, 50
SPECIAL = torch.tensor([PAD, CLS, SEP])


def mask(ids, rate=0.15, seed=0, **shares):
    generator = torch.Generator().manual_seed(seed)
    return mask_sequences(ids, SPECIAL, Masking(rate=rate, **shares), MASK, VOCABULARY, generator)


@st.composite
def rows(draw):
    """Rows as the views make them: [CLS], tokens with a [SEP] anywhere, padding; also rows with no token."""
    lengths = draw(st.lists(st.integers(0, 40), min_size=1, max_size=6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    ids = torch.full((len(lengths), max(lengths) + 2), PAD)
    for row, length in zip(ids, lengths, strict=True):
        row[0] = CLS
        row[1 : length + 1] = torch.randint(SEP, VOCABULARY, (length,), generator=generator)
        row[length + 1] = SEP
    return ids


given_rows = given(ids=rows(), rate=st.floats(0.01, 0.99), seed=st.integers(0, 2**32))


@given_rows
def test_the_same_generator_hides_the_same(ids, rate, seed):
    before = ids.clone()
    first = mask(ids, rate, seed)
    torch.rand(3)
    again = mask(ids, rate, seed)
    assert torch.equal(ids, before)
    for name in ("inputs", "positions", "targets"):
        assert torch.equal(getattr(first, name), getattr(again, name)), name


def test_other_generators_hide_others():
    ids = torch.full((4, 64), 9)
    assert not torch.equal(mask(ids, seed=0).positions, mask(ids, seed=1).positions)


@given_rows
def test_what_is_hidden(ids, rate, seed):
    hidden = mask(ids, rate, seed)
    real = hidden.targets != IGNORED
    ordinary = ~torch.isin(ids, SPECIAL)

    # As many as the rate says, and one where that is none.
    available = ordinary.sum(1)
    for count, of in zip(real.sum(1).tolist(), available.tolist(), strict=True):
        assert count <= of
        assert abs(count - rate * of) <= 0.5001 or (count == 1 and rate * of < 0.5)
    assert bool((real.any(1) == (available > 0)).all())
    assert real.shape[1] == max(1, int(real.sum(1).max()))

    # Ordinary tokens, each once, in rising order; the rest of a row reads position 0 for nothing.
    assert bool(ordinary.gather(1, hidden.positions)[real].all())
    assert bool((hidden.positions[~real] == 0).all())
    for positions, some in zip(hidden.positions, real, strict=True):
        chosen = positions[some].tolist()
        assert chosen == sorted(set(chosen))
        assert bool(some[: len(chosen)].all())

    # Targets are what stood there, and nothing else changed.
    assert torch.equal(hidden.targets[real], ids.gather(1, hidden.positions)[real])
    unread = torch.ones_like(ids, dtype=torch.bool)
    rows_of, columns_of = real.nonzero()[:, 0], hidden.positions[real]
    unread[rows_of, columns_of] = False
    assert torch.equal(hidden.inputs[unread], ids[unread])
    assert int(hidden.inputs.min()) >= 0
    assert int(hidden.inputs.max()) < VOCABULARY


@pytest.mark.parametrize(("ordinary", "count"), [(1, 1), (3, 1), (20, 3), (126, 19)])
def test_counts(ordinary, count):
    ids = torch.full((2, ordinary + 2), 9)
    ids[:, 0], ids[:, -1] = CLS, SEP
    assert mask(ids).positions.shape == (2, count)


def test_shares_of_what_is_shown():
    """80 % [MASK], 10 % a random piece, 10 % unchanged; every position as likely: all within five deviations."""
    ids = torch.full((2000, 100), 9)
    hidden = mask(ids, rate=0.2)
    count = hidden.positions.numel()
    assert count == 40_000
    shown = hidden.inputs.gather(1, hidden.positions)

    def is_near(found, share, of=count):
        return abs(found - share * of) < 5 * (of * share * (1 - share)) ** 0.5

    # A random piece can be [MASK], or the token that stood there.
    chance = 0.1 / VOCABULARY
    assert is_near(int((shown == MASK).sum()), 0.8 + chance)
    assert is_near(int((shown == 9).sum()), 0.1 + chance)
    other = shown[(shown != MASK) & (shown != 9)]
    assert is_near(len(other), 0.1 - 2 * chance)
    assert set(other.tolist()) == set(range(VOCABULARY)) - {MASK, 9}
    per_position = torch.bincount(hidden.positions.flatten(), minlength=100)
    assert all(is_near(found, 0.2, 2000) for found in per_position.tolist())


def test_shares_can_be_chosen():
    ids = torch.full((10, 50), 9)
    assert Masking(masked=0.5, random=0.2).kept == pytest.approx(0.3)
    assert torch.equal(mask(ids, masked=0.0, random=0.0).inputs, ids)
    hidden = mask(ids, masked=1.0, random=0.0)
    assert bool((hidden.inputs.gather(1, hidden.positions) == MASK).all())
