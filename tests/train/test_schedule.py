"""Durations as people write them; the learning rate as a function of progress."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinylm.core.errors import InputError
from tinylm.train.schedule import learning_rate_factor, seconds_of

shares = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("1h1m1s", 3661), ("0.2s", 0.2), ("2m0s", 120)],
)
def test_durations(duration, seconds):
    assert seconds_of(duration) == pytest.approx(seconds)


@pytest.mark.parametrize("duration", ["", "10", "m", "10 m", "10min", "-5m", "0s", "1d", "1m,5s", "1..5h", "5m "])
def test_what_is_no_duration(duration):
    with pytest.raises(InputError, match="is not a duration; write it as 90s, 10m or 1h30m") as raised:
        seconds_of(duration)
    assert repr(duration) in str(raised.value)


@given(warmup=shares)
def test_ends_and_peak(warmup):
    assert learning_rate_factor(1.0, warmup) == 0
    assert learning_rate_factor(1.01, warmup) == 0
    assert learning_rate_factor(warmup, warmup) == pytest.approx(1)
    if warmup > 0:
        assert learning_rate_factor(0.0, warmup) == 0


@given(warmup=shares, progress=st.tuples(shares, shares).map(sorted))
def test_it_rises_then_falls(warmup, progress):
    early, late = (learning_rate_factor(p, warmup) for p in progress)
    assert 0 <= early <= 1
    assert 0 <= late <= 1
    if progress[1] <= warmup:
        assert early <= late
    elif progress[0] >= warmup:
        assert early >= late


def test_it_is_straight():
    assert learning_rate_factor(0.05, 0.1) == pytest.approx(0.5)
    assert learning_rate_factor(0.55, 0.1) == pytest.approx(0.5)
