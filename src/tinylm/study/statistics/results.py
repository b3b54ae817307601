"""Results of a study as a tidy table: a row a measurement, a column a factor or a measure; and means over its rows."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinylm.core.extras import needed
from tinylm.core.files import write_text
from tinylm.study.statistics.intervals import Interval, paired_difference, t_interval

SEED = "seed"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """A kind of run minus another, on the same seeds."""

    levels: Mapping[str, Any]
    """What both have in common."""
    interval: Interval
    """In the units of the measure; in points where that is a share."""


@dataclass(frozen=True)
class Results:
    """Rows of a study; each has the levels of all factors, the seed, and what was measured."""

    rows: Sequence[Row]
    factors: Sequence[str]

    def where(self, **levels: Any) -> "Results":
        """The rows with these levels."""
        return Results([row for row in self.rows if all(row[k] == v for k, v in levels.items())], self.factors)

    def levels(self, *factors: str) -> list[tuple[Any, ...]]:
        """Distinct levels of some factors, in the order of the rows."""
        return list(dict.fromkeys(tuple(row[factor] for factor in factors) for row in self.rows))

    def values(self, measure: str, *, scale: float = 1.0) -> dict[int, float]:
        """A measure by seed; the mean of the rows of a seed where there are several, seeds without it left out."""
        by_seed: dict[int, list[float]] = {}
        for row in self.rows:
            if row.get(measure) is not None:
                by_seed.setdefault(row[SEED], []).append(scale * float(row[measure]))
        return {seed: sum(values) / len(values) for seed, values in by_seed.items()}

    def mean(self, measure: str, *, scale: float = 1.0) -> Interval | None:
        """Mean over seeds with its interval; None where nothing was measured."""
        values = list(self.values(measure, scale=scale).values())
        return t_interval(values) if values else None

    def differences(
        self, measure: str, factor: str, ours: Any, theirs: Any, *, scale: float = 1.0, within: Sequence[str] = ()
    ) -> Iterator[Difference]:
        """`ours` minus `theirs` of a factor, for each combination of the levels of other factors, paired by seed.

        Args:
            measure: what is compared.
            factor: whose levels are compared.
            ours: a level.
            theirs: another.
            scale: 100 makes points of shares.
            within: factors whose levels are kept apart; all others when empty.
        """
        others = list(within) or [name for name in self.factors if name != factor]
        for combination in self.levels(*others):
            levels = dict(zip(others, combination, strict=True))
            here = self.where(**levels)
            found = paired_difference(
                here.where(**{factor: ours}).values(measure, scale=scale),
                here.where(**{factor: theirs}).values(measure, scale=scale),
            )
            if found is not None:
                yield Difference(levels, found)

    def table(
        self, measure: str, rows: Sequence[str], columns: str, *, scale: float = 100.0, digits: int = 1
    ) -> list[list[str]]:
        """Means with intervals: a line for each combination of `rows`, a cell for each level of `columns`."""
        heads = [level for (level,) in self.levels(columns)]
        lines = []
        for combination in self.levels(*rows):
            here = self.where(**dict(zip(rows, combination, strict=True)))
            cells = [here.where(**{columns: head}).mean(measure, scale=scale) for head in heads]
            lines.append(
                [", ".join(map(shown, combination)), *("-" if cell is None else cell.text(digits) for cell in cells)]
            )
        return lines

    def write(self, folder: Path, name: str) -> list[Path]:
        """Write `NAME.csv` and `NAME.parquet`.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        lines = io.StringIO()
        writer = csv.DictWriter(lines, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(folder / f"{name}.csv", lines.getvalue())
        arrow, parquet = (needed(module, "writing parquet") for module in ("pyarrow", "pyarrow.parquet"))
        parquet.write_table(
            arrow.table({key: _column([row.get(key) for row in self.rows]) for key in columns}),
            folder / f"{name}.parquet",
        )
        return [folder / f"{name}.csv", folder / f"{name}.parquet"]


def shown(level: Any) -> str:
    """A level for people."""
    if level is None:
        return "all"
    return f"{level:,}" if isinstance(level, int) and not isinstance(level, bool) else str(level)


def _column(values: list[Any]) -> list[Any]:
    """Values of one type: whole numbers among fractions become fractions, and other mixtures text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return values if len(kinds) <= 1 else [None if value is None else str(value) for value in values]
