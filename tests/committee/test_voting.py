import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinylm.committee.voting import Voting, accuracy_by_size, disagreement, vote
from tinylm.core.errors import InputError


def random_votes(members, texts, classes, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), size=(members, texts))


votes_of_any_shape = st.builds(
    random_votes, st.integers(1, 5), st.integers(1, 6), st.integers(2, 5), st.integers(0, 2**32 - 1)
)


def test_probability_vote_is_the_mean():
    votes = [[[0.9, 0.1]], [[0.2, 0.8]]]
    np.testing.assert_allclose(vote(votes), [[0.55, 0.45]])


def test_logit_vote_is_the_softmax_of_the_mean_logit():
    logits = np.random.default_rng(0).normal(size=(3, 5, 4), scale=3)
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    mean = logits.mean(0)
    np.testing.assert_allclose(vote(softmax, Voting("logit")), np.exp(mean) / np.exp(mean).sum(-1, keepdims=True))


def test_logit_vote_of_members_that_rule_out_everything_is_finite():
    np.testing.assert_allclose(vote([[[1.0, 0.0]], [[0.0, 1.0]]], Voting("logit")), [[0.5, 0.5]])


@given(votes_of_any_shape, st.sampled_from(["probability", "logit"]))
def test_vote_is_a_distribution_that_ignores_the_order_of_members(votes, how):
    pooled = vote(votes, Voting(how))
    np.testing.assert_allclose(pooled.sum(-1), 1)
    np.testing.assert_allclose(pooled, vote(votes[::-1], Voting(how)), atol=1e-12)


@given(votes_of_any_shape)
def test_disagreement_lies_between_nothing_and_its_bound(votes):
    information = disagreement(votes)
    assert information.shape == votes.shape[1:2]
    assert np.all(information >= 0)
    assert np.all(information <= math.log(min(votes.shape[0], votes.shape[2])) + 1e-9)


def test_disagreement_of_equal_members_is_zero_and_of_opposite_ones_one_bit():
    alike = np.tile([[[0.7, 0.2, 0.1]]], (3, 1, 1))
    np.testing.assert_allclose(disagreement(alike), 0, atol=1e-15)
    np.testing.assert_allclose(disagreement([[[1.0, 0.0]], [[0.0, 1.0]]]), math.log(2))


@pytest.mark.parametrize("how", ["probability", "logit"])
def test_accuracy_by_size_averages_over_all_subsets(how):
    votes = random_votes(5, 40, 3)
    labels = np.random.default_rng(1).integers(3, size=40)
    sizes = accuracy_by_size(votes, labels, how)
    assert [entry.subsets for entry in sizes] == [5, 10, 10, 5, 1]
    for entry in sizes:
        accuracies = [
            np.mean(vote(votes[list(subset)], Voting(how)).argmax(-1) == labels)
            for subset in combinations(range(5), entry.size)
        ]
        assert entry.mean == pytest.approx(np.mean(accuracies))
        assert entry.std == pytest.approx(np.std(accuracies))


def test_large_sets_of_subsets_are_sampled_by_seed():
    votes = random_votes(8, 50, 3)
    labels = np.random.default_rng(1).integers(3, size=50)
    first = accuracy_by_size(votes, labels, max_subsets=20, seed=1)
    assert [entry.subsets for entry in first] == [8, 20, 20, 20, 20, 20, 8, 1]
    assert first == accuracy_by_size(votes, labels, max_subsets=20, seed=1)
    assert first != accuracy_by_size(votes, labels, max_subsets=20, seed=2)


def test_sampled_subsets_are_distinct():
    votes = random_votes(6, 50, 3)
    labels = np.random.default_rng(1).integers(3, size=50)
    accuracies = [np.mean(vote(votes[list(subset)]).argmax(-1) == labels) for subset in combinations(range(6), 3)]
    sampled = accuracy_by_size(votes, labels, max_subsets=19)[2]
    left_out = sum(accuracies) - 19 * sampled.mean
    assert min(abs(left_out - accuracy) for accuracy in accuracies) < 1e-9


@pytest.mark.parametrize(
    "votes",
    [
        [[0.5, 0.5]],
        np.empty((0, 3, 2)),
        [[[2.0, -1.0]]],
        [[[3.1, 0.4]]],
        [[[math.nan, 1.0]]],
    ],
    ids=["two axes", "no member", "negative", "logits", "not a number"],
)
def test_what_is_not_votes_is_refused(votes):
    with pytest.raises(InputError, match="Votes"):
        vote(votes)


def test_labels_and_limit_are_checked():
    votes = random_votes(2, 3, 2)
    with pytest.raises(InputError, match="Labels"):
        accuracy_by_size(votes, [0, 1])
    with pytest.raises(InputError, match="max_subsets"):
        accuracy_by_size(votes, [0, 1, 1], max_subsets=0)
