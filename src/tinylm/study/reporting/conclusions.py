"""What several studies conclude with: a comparison of two kinds of run, with table and chart; a curve and its limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinylm.core.errors import InputError
from tinylm.study.reporting.charts import Curve
from tinylm.study.reporting.figures import Estimate
from tinylm.study.reporting.report import Table
from tinylm.study.statistics.fits import fit_by_seed
from tinylm.study.statistics.intervals import Interval, holm, p_value, t_interval
from tinylm.study.statistics.results import SEED, Difference, Results, shown

POINTS = 100.0
"""Makes points of shares."""
_LEVEL = 0.05
_LEAST_SHARE = 0.1

NO_LIMIT = "no limit in sight"


@dataclass(frozen=True)
class Comparison:
    """One kind of run minus another, for each combination of the other factors."""

    name: str
    """`default minus scratch`."""
    differences: Sequence[Difference]
    overall: Interval | None
    """Of the mean over all combinations, by seed; None where there is no difference."""
    beside: tuple[float, ...] = ()
    """P values of other comparisons that are corrected for; see `corrected_together`."""

    @classmethod
    def of(
        cls,
        results: Results,
        factor: str,
        ours: Any,
        theirs: Any,
        *,
        measure: str = "accuracy",
        within: Sequence[str] = (),
        scale: float = POINTS,
    ) -> "Comparison":
        """`ours` minus `theirs`, levels of a factor; see `Results.differences`."""
        found = list(results.differences(measure, factor, ours, theirs, scale=scale, within=within))
        by_seed: dict[int, list[float]] = {}
        for seed in dict.fromkeys(row[SEED] for row in results.rows):
            of_seed = results.where(**{SEED: seed})
            by_seed[seed] = [
                difference.interval.mean
                for difference in of_seed.differences(measure, factor, ours, theirs, scale=scale, within=within)
            ]
        # A seed that lacks a combination would shift the mean by what it lacks.
        complete = [sum(d) / len(d) for d in by_seed.values() if d and len(d) == len(found)]
        name = f"{shown(ours)} minus {shown(theirs)}"
        return cls(name, found, t_interval(complete) if complete else None)

    @property
    def adjusted(self) -> list[float]:
        """P values of the differences by Holm's correction for all of this comparison, and for those beside it."""
        return holm([*self.p_values, *self.beside])[: len(self.differences)]

    @property
    def p_values(self) -> list[float]:
        """Of the differences, each by itself."""
        return [p_value(difference.interval) for difference in self.differences]

    def sentence(self, unit: str = "points") -> str:
        """The overall difference with its interval, and how many of the differences exclude zero."""
        if self.overall is None:
            return f"of {self.name} nothing was measured"
        clear, count = sum(p < _LEVEL for p in self.adjusted), len(self.differences)
        measured = f"the difference {self.name} is {signed(self.overall)} {unit}"
        if count == 1:
            corrected = " after Holm's correction" if self.beside else ""
            return f"{measured}, {'clear' if clear else 'not clear'} of zero{corrected}"
        return f"{measured} in the mean of {count} comparisons, {clear} of them clear of zero after Holm's correction"

    def table(self, unit: str = "points") -> Table:
        """A row for each difference."""
        factors = list(self.differences[0].levels) if self.differences else []
        rows = [
            [*(shown(level) for level in d.levels.values()), signed(d.interval), shown_p(p)]
            for d, p in zip(self.differences, self.adjusted, strict=True)
        ]
        return Table([*factors, f"{self.name}, {unit}", "p (Holm)"], rows)

    def estimates(self, group: str, by: Sequence[str]) -> list[Estimate]:
        """Lines of an interval chart, named by the levels of some factors."""
        return [
            Estimate(", ".join(shown(difference.levels[factor]) for factor in by), group, difference.interval)
            for difference in self.differences
        ]


def accuracy_curve(name: str, line: Results, factor: str) -> Curve:
    """Mean accuracy in per cent against the levels of a factor, with the band of its interval over seeds."""
    means = {level: line.where(**{factor: level}).mean("accuracy", scale=POINTS) for (level,) in line.levels(factor)}
    found = {level: mean for level, mean in means.items() if mean is not None}
    band = [(float(k), max(0.0, mean.low), min(POINTS, mean.high)) for k, mean in found.items() if mean.n > 1]
    return Curve(name, "test", [(float(k), mean.mean) for k, mean in found.items()], band)


def accuracy_at_infinity(errors: Mapping[int, Mapping[int, float]]) -> str:
    """100 - E of the fit E + c / K^a to errors in per cent by K, for each seed.

    A dash where none can be fitted, and `NO_LIMIT` where the fit of a seed has an E below a tenth of the least error
    that was measured: the curve does not bend enough, or is too noisy, to be continued so far.
    """
    try:
        fits, limit = fit_by_seed(errors)
    except InputError:
        return "-"
    if any(fit.limit < _LEAST_SHARE * min(errors[seed].values()) for seed, fit in fits.items()):
        return NO_LIMIT
    return str(Interval(POINTS - limit.mean, limit.half, limit.n))


def corrected_together(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons, each corrected for the differences of all of them."""
    return [
        replace(one, beside=tuple(p for other in comparisons if other is not one for p in other.p_values))
        for one in comparisons
    ]


def signed(interval: Interval) -> str:
    """An interval with the sign of its mean."""
    return f"{'+' if interval.mean >= 0 else ''}{interval}"


def shown_p(value: float) -> str:
    """A p value to three places: one that is smaller is no zero."""
    return "< 0.001" if value < 0.0005 else f"{value:.3f}"


def sentence(parts: Sequence[str]) -> str:
    """Parts with semicolons between them, as one sentence."""
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def excludes_zero(interval: Interval | None) -> bool:
    """Whether a 95 % interval excludes zero; not where it is of a single seed."""
    return interval is not None and interval.n > 1 and abs(interval.mean) > interval.half


def finding(claim: str, interval: Interval | None, *, positive: bool = True) -> str:
    """Whether a finding of the paper is reproduced: an interval on the side of the claim that excludes zero.

    Args:
        claim: what the paper found.
        interval: of the difference that it is about; None where it was not measured.
        positive: whether the claim is that the difference is above zero.
    """
    if interval is None:
        return f"{claim}: not measured."
    if interval.n < 2:
        return f"{claim}: a single seed gives no interval ({signed(interval)})."
    right_side = (interval.mean > 0) == positive
    verdict = "reproduced" if excludes_zero(interval) and right_side else "not reproduced"
    return f"{claim}: {verdict} ({signed(interval)})."
