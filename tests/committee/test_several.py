"""Several labels a text: each label is voted on by itself, and its threshold is the one that held-out texts ask for."""

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import f1_score

from tinylm.committee.files import read_committee, write_committee
from tinylm.committee.mixing import NGRAM_FITS, choose_mix
from tinylm.committee.thresholds import choose_thresholds, f1_scores
from tinylm.committee.voting import Voting, disagreement, vote
from tinylm.core.errors import InputError
from tinylm.core.problems import SEVERAL_LABELS

VOTES = np.random.default_rng(0).random((3, 7, 4))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("how", ["probability", "logit"])
def test_each_label_is_voted_on_by_itself(how):
    ngrams = np.random.default_rng(1).random((7, 4))
    found = vote(VOTES, Voting(how, 0.6, 0.3, SEVERAL_LABELS), ngrams)
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    mean = 0.7 * VOTES.mean(0) + 0.3 * ngrams if how == "probability" else None
    scores = logit(mean) if how == "probability" else 0.7 * logit(VOTES).mean(0) + 0.3 * logit(ngrams)
    np.testing.assert_allclose(found, sigmoid(scores / 0.6), atol=1e-12)


def test_disagreement_is_the_sum_of_that_on_each_label():
    pairs = np.stack([VOTES, 1 - VOTES], axis=-1)
    expected = (entropy(pairs.mean(0), axis=-1) - entropy(pairs, axis=-1).mean(0)).sum(axis=1)
    np.testing.assert_allclose(disagreement(VOTES, SEVERAL_LABELS), expected, atol=1e-12)
    with pytest.raises(InputError, match="several labels are not probabilities"):
        disagreement(VOTES + 1, SEVERAL_LABELS)


def drawn(texts, labels, seed, noise=1.0):
    """Truth of labels ever rarer, and the probabilities of a model that knows something of it."""
    generator = np.random.default_rng(seed)
    prior = np.geomspace(0.4, 0.02, labels)
    truth = (generator.random((texts, labels)) < prior).astype(np.int64)
    scores = np.log(prior / (1 - prior)) + 4 * truth - 2 + noise * generator.normal(size=truth.shape)
    return sigmoid(scores), truth


def test_thresholds_are_better_than_a_half_on_texts_that_they_were_not_chosen_on():
    (known, truth), (unknown, asked) = drawn(800, 6, 0), drawn(800, 6, 1)
    chosen = choose_thresholds(known, truth)
    tuned, half = (f1_scores(unknown >= least, asked) for least in (chosen, 0.5))
    assert tuned[0] > half[0] + 0.02 and tuned[1].mean() > half[1].mean() + 0.02
    np.testing.assert_array_equal(chosen, choose_thresholds(known, truth))


def test_a_rare_label_shares_the_threshold_of_all():
    generator = np.random.default_rng(3)
    scores, truth = drawn(400, 6, 2)
    # Labels of three texts each, at random places: thresholds of their own would be noise.
    noise, rare = generator.random((400, 30)) * 0.3, np.zeros((400, 30), np.int64)
    for label in range(30):
        rare[generator.choice(400, 3, replace=False), label] = 1
    chosen = choose_thresholds(np.hstack([scores, noise]), np.hstack([truth, rare]))
    assert len(set(chosen[6:])) == 1


def test_nothing_true_and_everything_equal_are_survived():
    assert np.isfinite(choose_thresholds(np.full((12, 3), 0.2), np.zeros((12, 3), np.int64))).all()
    assert f1_scores(np.zeros((2, 3), bool), np.zeros((2, 3), np.int64))[0] == 0


def test_f1_is_that_of_scikit_learn():
    scores, truth = drawn(200, 5, 4)
    predicted = scores >= 0.3
    micro, by_label = f1_scores(predicted, truth)
    assert micro == pytest.approx(f1_score(truth, predicted, average="micro"))
    np.testing.assert_allclose(by_label, f1_score(truth, predicted, average=None))


def test_the_mix_of_several_labels_has_ngrams_a_temperature_and_thresholds():
    _, truth = drawn(300, 4, 5)
    kinds = np.stack([drawn(300, 4, 5, noise)[0] for noise in (3.0, 0.5, 3.0, 3.0)])
    scores = np.repeat(4 * truth[None] - 2 + np.random.default_rng(7).normal(size=truth.shape), len(NGRAM_FITS), axis=0)
    mix = choose_mix(kinds, truth, 2, "probability", scores)
    assert mix.kinds[0] == 1 and mix.ngrams is not None and mix.ngrams.weight > 0
    assert len(mix.thresholds) == 4 and mix.loss < mix.default_loss
    alone = choose_mix(kinds, truth, 2)
    assert alone.ngrams is None and len(alone.thresholds) == 4


def test_few_texts_choose_nothing():
    probabilities, truth = drawn(20, 4, 6)
    mix = choose_mix(np.stack([probabilities] * 4), truth, 2)
    assert (mix.kinds, mix.temperature, mix.thresholds) == ((), 1.0, ())


def test_a_committee_file_keeps_the_problem_and_its_thresholds(tmp_path):
    voting = Voting("logit", 0.7, 0.2, SEVERAL_LABELS, (0.1, 0.25))
    write_committee(tmp_path, ["m"], ["a", "b"], voting)
    assert read_committee(tmp_path).voting == voting
    write_committee(tmp_path, ["m"], ["a", "b", "c"], voting)
    with pytest.raises(InputError, match="does not describe a committee"):
        read_committee(tmp_path)
