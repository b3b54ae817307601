"""The temperature that is fitted: against a search over many, and on predictions that are made too sure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from tinylm.committee.calibration import fit_temperature
from tinylm.committee.voting import Voting, apply_temperature, vote
from tinylm.core.errors import InputError


def drawn(seed, texts, classes, sharpened):
    """Logits whose labels are drawn from their own softmax, and are then multiplied."""
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal((texts, classes)) * 2
    chances = apply_temperature(logits, 1.0).cumsum(axis=1)
    labels = (generator.random((texts, 1)) > chances).sum(axis=1).clip(max=classes - 1)
    return logits * sharpened, labels


@pytest.mark.parametrize("sharpened", [0.5, 1.0, 3.0])
def test_temperature_undoes_what_made_predictions_too_sure_or_unsure(sharpened):
    assert fit_temperature(*drawn(0, 20_000, 5, sharpened)) == pytest.approx(sharpened, rel=0.05)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 6))
def test_no_other_temperature_has_a_lower_cross_entropy(seed, texts, classes):
    logits, labels = drawn(seed, texts, classes, 2.0)
    targets = (texts * np.eye(classes)[labels] + 1 / classes) / (texts + 1)

    def loss(temperature: float) -> float:
        return float(-(targets * log_softmax(logits / temperature, axis=1)).sum(1).mean())

    assert loss(fit_temperature(logits, labels)) <= min(loss(other) for other in np.geomspace(0.1, 10, 300)) + 1e-6


@pytest.mark.parametrize("texts", [4, 400])
def test_predictions_that_are_always_right_are_as_sure_as_so_many_texts_allow(texts):
    classes = np.arange(texts) % 4
    logits = np.eye(4)[classes]
    sure = softmax(logits / fit_temperature(logits, classes), axis=1).max(1)
    np.testing.assert_allclose(sure, (texts + 1 / 4) / (texts + 1), rtol=1e-6)


def test_temperature_needs_a_text():
    with pytest.raises(InputError, match="needs labelled texts"):
        fit_temperature(np.empty((0, 3)), np.empty(0, int))


@pytest.mark.parametrize("how", ["probability", "logit"])
def test_a_vote_at_a_temperature_keeps_the_class_and_changes_how_sure_it_is(how):
    votes = np.random.default_rng(1).dirichlet([1, 1, 1], size=(2, 50))
    plain, unsure, sure = (vote(votes, Voting(how, temperature)) for temperature in (1.0, 3.0, 0.3))
    for other in (unsure, sure):
        assert (other.argmax(1) == plain.argmax(1)).all()
    assert (unsure.max(1) < plain.max(1)).all() and (plain.max(1) < sure.max(1)).all()
