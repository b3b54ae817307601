"""Intervals over seeds."""

import math

import numpy as np
import pytest
from scipy import stats

from tinylm.core.errors import InputError
from tinylm.study.statistics.intervals import paired_difference, t_interval

VALUES = [88.7, 89.9, 89.1, 90.4]


def test_t_interval_is_that_of_scipy():
    found = t_interval(VALUES)
    low, high = stats.t.interval(0.95, len(VALUES) - 1, loc=np.mean(VALUES), scale=stats.sem(VALUES))
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), 4)


def test_t_interval_of_one_value_has_no_width_to_show():
    found = t_interval([88.25])
    assert math.isnan(found.low) and str(found) == "88.2 (1)"
    assert str(t_interval([88.0, 90.0])) == "89.0 ± 12.7 (2)"


def test_t_interval_of_nothing_is_refused():
    with pytest.raises(InputError, match="no value"):
        t_interval([])


def test_paired_difference_takes_the_seeds_that_both_have():
    ours, theirs = {0: 61.0, 1: 70.0, 2: 65.0, 5: 1.0}, {2: 64.0, 1: 68.0, 0: 59.5, 7: 99.0}
    found = paired_difference(ours, theirs)
    low, high = stats.ttest_rel([61.0, 70.0, 65.0], [59.5, 68.0, 64.0]).confidence_interval(0.95)
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), 3)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None
