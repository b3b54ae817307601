"""How far a run is, by updates or by the clock of rank 0."""

import itertools

import pytest

from tinylm.train import clock as clock_module
from tinylm.train.clock import Clock
from tinylm.train.distributed import DistributedContext

ALONE = DistributedContext(0, 1, "cpu")


@pytest.fixture
def time(monkeypatch):
    """A clock that the test sets."""

    class Time:
        now = 100.0

        def perf_counter(self) -> float:
            return self.now

    time = Time()
    monkeypatch.setattr(clock_module, "time", time)
    return time


def test_clock_of_steps_needs_no_time():
    clock = Clock(4, float("inf"), ALONE)
    assert [clock.progress(step) for step in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert [clock.middle(step, step / 4) for step in range(4)] == [0.125, 0.375, 0.625, 0.875]


def test_clock_of_a_budget_gives_the_middle_of_each_update(time):
    clock = Clock(None, 10.0, ALONE)
    middles = []
    for step in itertools.count():
        done = clock.progress(step)
        if done >= 1:
            break
        time.now += 2.0
        middles.append(clock.middle(step, done))
    assert middles == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])


@pytest.mark.parametrize("seconds", [1e-9, 50.0])
def test_clock_of_a_budget_keeps_the_middle_inside_however_long_an_update_takes(time, seconds):
    clock = Clock(None, 10.0, ALONE)
    for begun in (0.0, 0.999):
        time.now = 100.0 + 10 * begun + seconds
        assert 0 < clock.middle(0, begun) < 1


def test_clock_goes_on_where_it_was_and_reserves_time_for_validation(time):
    clock = Clock(None, 10.0, ALONE)
    time.now += 3.0
    clock.resume(4.0)
    time.now += 1.0
    assert clock.seconds() == pytest.approx(5.0)
    assert clock.progress(100) == pytest.approx(0.5)
    clock.reserved = 5.0
    assert clock.progress(100) == 1.0
