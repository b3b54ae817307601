"""The table of a study, and what is concluded from it."""

import math

import pytest
from scipy import stats

from tinylm.core.errors import InputError
from tinylm.study.reporting.conclusions import (
    NO_LIMIT,
    Comparison,
    accuracy_at_infinity,
    corrected_together,
    finding,
    shown_p,
    signed,
)
from tinylm.study.statistics.fits import PowerLaw, fit_by_seed, fit_power_law
from tinylm.study.statistics.intervals import holm, p_value, rank_correlation, t_interval
from tinylm.study.statistics.results import Results

ARMS = {"old": {0: 0.70, 1: 0.72, 2: 0.71}, "new": {0: 0.75, 1: 0.76, 2: 0.765}}


def results():
    rows = [
        {"arm": arm, "task": task, "seed": seed, "accuracy": accuracy + (0.1 if task == "easy" else 0.0), "loss": None}
        for task in ("hard", "easy")
        for arm, by_seed in ARMS.items()
        for seed, accuracy in by_seed.items()
    ]
    return Results(rows, ("arm", "task"))


def test_results_give_means_and_paired_differences():
    found = results()
    assert found.where(arm="old", task="hard").values("accuracy") == ARMS["old"]
    assert found.values("accuracy")[0] == pytest.approx((0.70 + 0.75 + 0.80 + 0.85) / 4)
    assert found.mean("loss") is None
    hard, easy = found.differences("accuracy", "arm", "new", "old", scale=100)
    assert (hard.levels, easy.levels) == ({"task": "hard"}, {"task": "easy"})
    expected = stats.ttest_rel(list(ARMS["new"].values()), list(ARMS["old"].values())).confidence_interval(0.95)
    assert (hard.interval.low, hard.interval.high) == (
        pytest.approx(100 * expected.low),
        pytest.approx(100 * expected.high),
    )
    assert found.table("accuracy", ("task",), "arm")[0] == ["hard", "71.0 ± 2.5 (3)", "75.8 ± 1.9 (3)"]


def test_results_are_written_as_csv_and_parquet(tmp_path):
    from pyarrow import parquet

    mixed = Results([{"n": 1, "x": 1}, {"n": 2, "x": 0.5, "y": "a"}], ("n",))
    csv_file, parquet_file = mixed.write(tmp_path, "table")
    assert csv_file.read_text() == "n,x,y\n1,1,\n2,0.5,a\n"
    assert parquet.read_table(parquet_file).to_pylist() == [{"n": 1, "x": 1.0, "y": None}, {"n": 2, "x": 0.5, "y": "a"}]


def test_comparison_is_of_all_combinations_and_says_how_many_exclude_zero():
    found = Comparison.of(results(), "arm", "new", "old")
    assert found.overall is not None and found.overall.mean == pytest.approx(4.8333, abs=1e-3)
    raw = [p_value(difference.interval) for difference in found.differences]
    assert found.adjusted == pytest.approx([2 * min(raw)] * 2)
    assert found.sentence() == (
        "the difference new minus old is +4.8 ± 1.9 (3) points in the mean of 2 comparisons, "
        "2 of them clear of zero after Holm's correction"
    )
    assert found.table().rows[0] == ["hard", "+4.8 ± 1.9 (3)", f"{2 * raw[0]:.3f}"]


def test_comparisons_of_one_page_are_corrected_together():
    hard = results().where(task="hard")
    alone = [Comparison.of(hard, "arm", *pair) for pair in (("new", "old"), ("old", "new"), ("newer", "old"))]
    p = alone[0].adjusted[0]
    assert alone[0].sentence().endswith("points, clear of zero")
    together = corrected_together(alone)
    assert [comparison.adjusted for comparison in together] == [[pytest.approx(2 * p)], [pytest.approx(2 * p)], []]
    assert together[0].sentence().endswith("points, clear of zero after Holm's correction")


def test_comparison_leaves_out_a_seed_that_lacks_a_combination():
    rows = [row for row in results().rows if not (row["task"] == "easy" and row["seed"] == 2)]
    found = Comparison.of(Results(rows, ("arm", "task")), "arm", "new", "old")
    assert found.overall is not None and found.overall.n == 2
    assert [difference.interval.n for difference in found.differences] == [3, 2]


def test_comparison_of_what_was_not_measured_says_so():
    assert Comparison.of(results(), "arm", "newer", "old").sentence() == "of newer minus old nothing was measured"


def test_finding_is_reproduced_where_its_interval_is_clear_of_zero_on_its_side():
    above = t_interval([1.0, 1.1, 0.9])
    assert finding("It grows", above) == f"It grows: reproduced ({signed(above)})."
    assert "not reproduced" in finding("It falls", above, positive=False)
    assert "not reproduced" in finding("It grows", t_interval([1.0, -1.1, 0.9]))
    assert "single seed" in finding("It grows", t_interval([1.0])) and "not measured" in finding("It grows", None)


def test_p_value_is_that_of_the_t_test():
    values = [1.2, 0.7, 1.9, 0.4]
    assert p_value(t_interval(values)) == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert p_value(t_interval([1.0])) == 1.0 and p_value(t_interval([1.0, 1.0])) == 0.0


def test_a_small_p_value_is_not_shown_as_zero():
    assert (shown_p(0.0004), shown_p(0.0006), shown_p(1.0)) == ("< 0.001", "0.001", "1.000")


def test_holm_is_that_of_its_definition():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0] and holm([]) == []


def test_rank_correlation_is_spearmans_with_fishers_interval():
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 1.0, 4.0, 3.0, 7.0, 5.0]
    found = rank_correlation(x, y)
    assert found.mean == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.half == pytest.approx(
        found.mean - math.tanh(math.atanh(found.mean) - 1.959964 * math.sqrt(1.06 / 3)), 1e-4
    )
    assert rank_correlation([1, 2, 3, 4], [1, 2, 3, 4]).mean == pytest.approx(1)
    with pytest.raises(InputError, match="needs four pairs"):
        rank_correlation([1, 2, 3], [1, 2, 3])


def test_power_law_is_found_again():
    law = PowerLaw(12.0, 5.0, 0.8)
    found = fit_power_law([1, 2, 3, 4, 6, 8, 12], [law(k) for k in (1, 2, 3, 4, 6, 8, 12)])
    assert (found.limit, found.scale) == (pytest.approx(12, abs=0.05), pytest.approx(5, abs=0.05))
    fits, limit = fit_by_seed({0: {1: 17.0, 2: 14.5, 4: 13.2, 8: 12.6}, 1: {1: 18.0, 2: 15.5, 4: 14.2, 8: 13.6}})
    assert set(fits) == {0, 1} and limit.mean == pytest.approx((fits[0].limit + fits[1].limit) / 2)
    rising = fit_power_law([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0])
    assert (rising.limit, rising.scale) == (pytest.approx(2.5), 0), "an error that rises has no fall to extrapolate"
    with pytest.raises(InputError, match="four different quantities"):
        fit_power_law([1, 2, 3], [3.0, 2.0, 1.0])


def test_accuracy_at_infinity_is_said_where_there_is_a_limit_alone():
    bends = {seed: {k: 10.0 + seed + 8.0 / k for k in (1, 2, 4, 8)} for seed in (0, 1)}
    assert accuracy_at_infinity(bends).startswith("89.5 ± ")
    falls = {seed: {k: 80.0 / k**0.5 for k in (1, 2, 4, 8)} for seed in (0, 1)}
    assert accuracy_at_infinity(falls) == NO_LIMIT
    assert accuracy_at_infinity({**bends, 2: falls[0]}) == NO_LIMIT, "one seed without a limit leaves none"
    assert accuracy_at_infinity({0: {1: 3.0, 2: 2.0, 4: 1.5}}) == "-", "three points fit anything"
