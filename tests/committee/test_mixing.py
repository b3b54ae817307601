"""Mixes of kinds of member: the best one is found, and chance does not choose."""

from itertools import product

import numpy as np
import pytest

from tinylm.committee import mixing
from tinylm.committee.mixing import NGRAM_FITS, NgramFit, choose_mix
from tinylm.committee.voting import apply_temperature

DEFAULT = (0, 1, 2, 3)


def drawn(texts, rights, classes=3, seed=0):
    """Predictions of kinds that are right with a probability each, and as sure of themselves as that."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, texts)
    predictions = np.empty((len(rights), texts, classes))
    for kind, right in enumerate(rights):
        wrong = (labels + generator.integers(1, classes, texts)) % classes
        named = np.where(generator.random(texts) < right, labels, wrong)
        predictions[kind] = (1 - right) / (classes - 1)
        predictions[kind, np.arange(texts), named] = right
    return predictions, labels


def loss(predictions, labels, kinds):
    mean = np.mean([predictions[kind] for kind in kinds], axis=0)
    return -np.log(mean[np.arange(len(labels)), labels]).mean()


def test_mix_has_the_lowest_cross_entropy_of_all():
    predictions, labels = drawn(3000, [0.6, 0.9, 0.55, 0.8])
    mix = choose_mix(predictions, labels, 4)
    assert mix.kinds != DEFAULT
    assert mix.loss == pytest.approx(min(loss(predictions, labels, kinds) for kinds in product(range(4), repeat=4)))
    assert mix.default_loss == pytest.approx(loss(predictions, labels, DEFAULT))


def test_kinds_that_are_best_with_few_members_come_first():
    predictions, labels = drawn(3000, [0.6, 0.9, 0.55, 0.8])
    first = choose_mix(predictions, labels, 4).kinds[0]
    assert first == 1 == np.argmin([loss(predictions, labels, [kind]) for kind in range(4)])


@pytest.mark.parametrize("texts", [30, 200])
def test_a_difference_that_may_be_chance_leaves_the_default(texts):
    alike = [drawn(texts, [0.7] * 4, seed=seed) for seed in range(40)]
    kept = [choose_mix(predictions, labels, 4).kinds == DEFAULT for predictions, labels in alike]
    assert np.mean(kept) >= 0.75


@pytest.mark.parametrize("texts", [1, 29])
def test_of_few_texts_no_kinds_are_chosen(texts):
    predictions, labels = drawn(texts, [0.1, 0.9, 0.1, 0.1])
    mix = choose_mix(predictions, labels, 4)
    assert (mix.kinds, mix.loss, mix.temperature, mix.ngrams) == ((), None, 1.0, None)


def test_temperature_is_for_as_many_members_as_vote():
    predictions, labels = drawn(4000, [0.7, 0.7, 0.7, 0.7])
    one, four = (choose_mix(predictions, labels, members).temperature for members in (1, 4))
    assert one == pytest.approx(1.0, abs=0.1), "each kind is as sure as it is often right"
    assert four < 0.8, "the mean of four that are right by themselves is too unsure"


def scores_of(right, labels, classes=3, seed=9):
    """Scores by each fit of a classifier that is right so often, and as sure of itself at temperature 0.5."""
    generator = np.random.default_rng(seed)
    wrong = (labels + generator.integers(1, classes, len(labels))) % classes
    named = np.where(generator.random(len(labels)) < right, labels, wrong)
    predictions = np.full((len(labels), classes), (1 - right) / (classes - 1))
    predictions[np.arange(len(labels)), named] = right
    weak = np.random.default_rng(seed + 1).normal(size=predictions.shape)
    return np.stack([weak, np.log(predictions) / 2, *[weak] * (len(NGRAM_FITS) - 2)])


def smooth(texts, spread, seed):
    """Predictions as unlike each other as those of trained members, and their labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, texts)
    logits = generator.normal(size=(4, texts, 3)) + spread * np.eye(3)[labels]
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True), labels


def test_ngrams_vote_where_that_lowers_the_cross_entropy():
    predictions, labels = drawn(2000, [0.7] * 4)
    mix = choose_mix(predictions, labels, 2, ngram_scores=scores_of(0.8, labels))
    assert mix.ngrams is not None
    ngrams = mix.ngrams
    chosen = NgramFit(ngrams.tf, ngrams.characters, ngrams.C, ngrams.log_count_ratio)
    assert chosen == NGRAM_FITS[1], "the only fit by which the scores say something"
    assert mix.ngrams.temperature == pytest.approx(0.5, abs=0.1)
    assert 0.35 <= mix.ngrams.weight <= 0.65, "it is right a little more often than two members are"


@pytest.mark.parametrize(("texts", "chosen"), [(60, mixing._USUAL_FITS[0]), (6000, NGRAM_FITS[1])])
def test_another_fit_has_to_be_clearly_better_than_the_usual_one(texts, chosen):
    predictions, labels = drawn(texts, [0.5] * 4)
    scores = scores_of(0.8, labels)
    noise = np.random.default_rng(0).normal(scale=0.1, size=scores[1].shape)
    scores[NGRAM_FITS.index(mixing._USUAL_FITS[0])] = scores[1] + noise
    ngrams = choose_mix(predictions, labels, 2, ngram_scores=scores).ngrams
    assert NgramFit(ngrams.tf, ngrams.characters, ngrams.C, ngrams.log_count_ratio) == chosen


def test_a_fit_that_was_left_out_is_not_the_usual_one():
    predictions, labels = drawn(60, [0.5] * 4)
    scores = np.repeat(scores_of(0.8, labels)[1:2], len(NGRAM_FITS), axis=0)
    scores[[fit.characters for fit in NGRAM_FITS]] = 0
    ngrams = choose_mix(predictions, labels, 2, ngram_scores=scores).ngrams
    assert (ngrams.characters, ngrams.log_count_ratio, ngrams.C) == (False, True, 0.3)


@pytest.mark.parametrize("how", ["probability", "logit"])
def test_ngrams_that_say_nothing_mostly_do_not_vote(how):
    noise = np.random.default_rng(0).normal(size=(len(NGRAM_FITS), 500, 3))
    drawn_often = [smooth(500, 1.5, seed) for seed in range(20)]
    chosen = [choose_mix(predictions, labels, 4, how, noise).ngrams for predictions, labels in drawn_often]
    assert chosen.count(None) >= 5
    for ngrams in filter(None, chosen):
        by_chance = apply_temperature(noise, ngrams.temperature)
        assert ngrams.weight * np.abs(by_chance - 1 / 3).max() <= 0.05, "so near to even that it decides nothing"


def test_with_too_few_labels_ngrams_have_the_usual_share():
    predictions, labels = drawn(20, [0.8] * 4)
    assert choose_mix(predictions, labels, 4, ngram_scores=scores_of(0.1, labels)).ngrams == mixing.UNSEARCHED
    assert choose_mix(predictions, labels, 4).ngrams is None
