"""Every row once an epoch, in an order that seed and step alone decide."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinylm.train.batch import Batch, pad_mask
from tinylm.train.objectives.bag_of_words import BagOfWordsTargets
from tinylm.train.sampler import LengthGroupedSampler

sizes = st.integers(1, 300)


@st.composite
def orders(draw):
    rows, batch, seed = draw(sizes), draw(st.integers(1, 40)), draw(st.integers(0, 2**32))
    lengths = np.random.default_rng(seed).integers(3, draw(st.sampled_from([4, 60])), rows)
    return lengths, batch, seed


@given(orders(), st.integers(0, 3))
def test_each_epoch_has_every_row_once(settings, epoch):
    order = LengthGroupedSampler(*settings)
    per_epoch = order.batches_per_epoch
    batches = [order.batch(epoch * per_epoch + i) for i in range(per_epoch)]
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(settings[0])))
    sizes_of = {len(batch) for batch in batches}
    assert max(sizes_of) - min(sizes_of) <= 1
    assert min(sizes_of) >= 1
    assert max(sizes_of) <= settings[1]
    assert per_epoch == math.ceil(len(settings[0]) / settings[1])


@given(orders(), st.lists(st.integers(0, 100), min_size=1, max_size=6))
def test_a_step_alone_decides(settings, steps):
    """Asked in any order, after any other step, the batch is the same."""
    one = LengthGroupedSampler(*settings)
    seen = [one.batch(step) for step in steps]
    for step, batch in zip(steps, seen, strict=True):
        assert np.array_equal(LengthGroupedSampler(*settings).batch(step), batch)


def test_epochs_and_seeds_differ():
    lengths = np.full(64, 5)
    orders_of = [
        np.concatenate(
            [LengthGroupedSampler(lengths, 8, seed).batch(step) for step in range(start, start + 8)]
        ).tolist()
        for seed, start in ((0, 0), (0, 8), (1, 0))
    ]
    assert len({tuple(order) for order in orders_of}) == 3
    assert orders_of[0] != sorted(orders_of[0])


def test_rows_of_like_length_come_together():
    lengths = np.random.default_rng(0).integers(3, 128, 5000)

    def padding(batches):
        return sum(lengths[batch].max() * len(batch) for batch in batches) / lengths.sum() - 1

    order = LengthGroupedSampler(lengths, 32, 0)
    together = padding([order.batch(step) for step in range(order.batches_per_epoch)])
    shuffled = padding(np.array_split(np.random.default_rng(1).permutation(5000), order.batches_per_epoch))
    assert shuffled > 0.8
    assert together < 0.1


def test_batches_come_in_no_order_of_length():
    """Short rows first would make the beginning of an epoch another task than its end."""
    lengths = np.random.default_rng(0).integers(3, 128, 3200)
    order = LengthGroupedSampler(lengths, 32, 0)
    means = [lengths[order.batch(step)].mean() for step in range(order.batches_per_epoch)]
    correlation = np.corrcoef(means, np.arange(len(means)))[0, 1]
    # One hundred batches: 0.4 is four deviations.
    assert abs(correlation) < 0.4


def make(rows, *, masked=True, reads=True, targets=True, words=False, group=1):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(50, (rows, 7), generator=generator)
    of_objectives: dict = {"first": ids[:, :3] if reads else ids[:, 0]} if targets else {}
    if words:
        of_objectives["bow"] = BagOfWordsTargets(ids.repeat(1, 2) + 1, ids.repeat(1, 2) / 50)
    return Batch(
        ids,
        ids > 10 if masked else None,
        predictions=11,
        tokens=99,
        targets=of_objectives,
        masked_positions=ids[:, :3] % 7 if reads else None,
        predictions_per_sequence=1.5,
        group=group,
    )


def tensors_of(batch):
    words = batch.targets.get("bow")
    bag = (None, None) if words is None else (words.ids, words.weights)
    return [batch.ids, batch.mask, batch.masked_positions, batch.targets.get("first"), *bag]


@pytest.mark.parametrize(
    "options",
    [{}, {"masked": False}, {"reads": False}, {"words": True}, {"reads": False, "targets": False, "words": True}],
)
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize(("groups", "count"), [(8, 1), (8, 4), (7, 3), (2, 5), (1, 4)])
def test_parts_share_the_groups(groups, count, group, options):
    whole = make(groups * group, group=group, **options)
    assert whole.groups == groups
    parts = list(whole.parts(count))
    assert len(parts) == min(count, groups)
    assert min(part.groups for part in parts) >= 1
    assert {(part.predictions, part.tokens, part.predictions_per_sequence, part.group) for part in parts} == {
        (11, 99, 1.5, group)
    }
    for tensor, *of_parts in zip(tensors_of(whole), *map(tensors_of, parts), strict=True):
        if tensor is None:
            assert of_parts == [None] * len(parts)
            continue
        joined = torch.empty_like(tensor)
        for index, part in enumerate(of_parts):
            for row in range(group):
                joined[row::group][index :: len(parts)] = part[row::group]
        assert torch.equal(joined, tensor)


def test_a_process_can_be_left_without_a_pair():
    assert [make(4, group=2, words=True).part(rank, 3).groups for rank in range(3)] == [1, 1, 0]


def test_pad_mask():
    ids = torch.zeros(3, 5, dtype=torch.long)
    assert pad_mask(ids, np.array([5, 5, 5])) is None
    assert pad_mask(ids, np.array([5, 2, 0])).sum(1).tolist() == [5, 2, 0]
    assert pad_mask(ids, np.array([5, 2, 0]))[1].tolist() == [True, True, False, False, False]
