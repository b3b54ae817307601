"""Which recipe buys the most accuracy for a fixed time of pre-training, and what is it worth against baselines?

Members are pre-trained on all Wikipedia openings of the data folder for each budget, fine-tuned to three tasks (the
paper's samples), and vote. Accuracy is that on validation texts, or on the test parts with baselines beside it: for
final tables. The clock decides how much is learnt, so that the machine is to do nothing else.
"""

import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tinylm.core.errors import InputError
from tinylm.core.progress import Progress
from tinylm.study.grid import Cell, Grid, Store
from tinylm.study.recipe.chart import Level, Point, draw
from tinylm.study.recipe.runs import BASELINES, RECIPES, RUNS, TASKS, RecipeRuns
from tinylm.study.reporting.report import Section, Table, write_report
from tinylm.study.statistics.intervals import paired_difference, t_interval
from tinylm.text.known import VARIABLE
from tinylm.train.schedule import seconds_of


@dataclass(frozen=True, kw_only=True)
class RecipeStudy:
    """What is run and shown."""

    data_dir: Path = field(default_factory=lambda: Path(os.environ.get(VARIABLE) or "data"))
    """Folder of the data sets and of wikipedia/, else that of TINYLM_DATA, else data/."""
    recipes: tuple[str, ...] = tuple(RECIPES)
    """Names of recipes of pre-training."""
    budgets: tuple[str, ...] = ("3m", "10m")
    """Times of pre-training a member."""
    tasks: tuple[str, ...] = TASKS
    """Names of data sets to fine-tune to; there is fewrel-marked too."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each has samples and committees of its own."""
    members: int = 4
    """Members of a committee."""
    preset: str | None = None
    """Shape of the members, in place of the recipe's."""
    pretraining: tuple[str, ...] = ()
    """Settings of pre-training in place of the recipe's, as NAME=VALUE."""
    finetuning: tuple[str, ...] = ()
    """Settings of fine-tuning, likewise."""
    distillation: tuple[str, ...] = ()
    """Settings of distillation, likewise."""
    distill: bool = False
    """Also distil committees, into one member and into as many as they have."""
    test: bool = False
    """Measure on the test parts in place of validation texts, with baselines and members from scratch."""
    baselines: tuple[str, ...] = tuple(BASELINES)
    """Names of baselines, measured with --test."""
    results: Path = RUNS / "results.json"
    """File of results; what it holds is not run again. docs/recipe.json holds those of the project."""
    show: bool = False
    """Run nothing, show stored results."""
    retry: bool = False
    """Run failed runs again."""
    chart: Path | None = None
    """Draw accuracy against minutes into this file, .svg or .png."""
    page: Path | None = None
    """Write the tables into this HTML page."""

    def __post_init__(self) -> None:
        for given, known in (
            (self.recipes, RECIPES),
            (self.tasks, (*TASKS, "fewrel-marked")),
            (self.baselines, BASELINES),
        ):
            for name in given:
                if name not in known:
                    raise InputError(f"{name!r} is not known; choose from {', '.join(known)}")


@dataclass(frozen=True)
class Row:
    """A row of the table: accuracy in per cent by seed, for each task."""

    name: str
    kind: str
    recipe: str | None
    """None for a baseline."""
    minutes: float
    """Of pre-training a member."""
    tokens: tuple[int, ...]
    """Of pre-training, one number a member."""
    measured: tuple[Mapping[int, float], ...]

    def cells(self) -> list[str]:
        """Name, millions of tokens, and the mean with its interval for each task."""
        tokens = f"{statistics.mean(self.tokens) / 1e6:.0f}" if self.tokens else ""
        means = [str(t_interval(list(by_seed.values()))) if by_seed else "-" for by_seed in self.measured]
        return [self.name, tokens, *means]


def run_recipe_study(study: RecipeStudy, progress: Progress) -> list[Section]:
    """Run what is not stored yet, and give the tables; write chart and page where they are requested.

    Raises:
        InputError: an unknown setting, or data that is not there.
    """
    store = Store(study.results, complete=study.show, retry=study.retry)
    recipes = {name: _changed(name, study) for name in study.recipes}
    runs = RecipeRuns(study.data_dir, recipes, study.members, study.test, progress)
    rows, failed = _rows(study, runs, store)
    if study.chart is not None:
        _draw(study.chart, rows, study.tasks)
    sections = [_accuracies(rows, study.tasks), *_differences(rows, study.tasks)]
    if failed:
        sections.append(Section("Failed runs", failed))
    sections.append(Section("Machines", store.machines()))
    if study.page is not None:
        write_report(
            study.page,
            title="Accuracy for minutes of pre-training",
            summary=str(__doc__).partition("\n\n")[0],
            sections=sections,
            machine="as listed above",
            settings=vars(study),
        )
    return sections


def _rows(study: RecipeStudy, runs: RecipeRuns, store: Store) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    failed: list[str] = []

    def cells(grid: Grid) -> Iterator[tuple[Mapping[str, Any], list[Cell]]]:
        """The cells of one row each: all tasks of a combination of the other levels."""
        found = list(grid.measure(store))
        failed.extend(f"{dict(c.levels)}, seed {s}: {reason}" for c in found for s, reason in c.failed.items())
        for first in range(0, len(found), len(study.tasks)):
            of_row = found[first : first + len(study.tasks)]
            yield of_row[0].levels, of_row

    factors: dict[str, Sequence[Any]] = {"task": study.tasks}
    if study.test:
        grid = Grid({"baseline": study.baselines} | factors, study.seeds, runs.baseline, runs.baseline_facts)
        for levels, found in cells(grid):
            name = levels["baseline"]
            rows.append(Row(name, name, None, 0.0, (), _percent(found, "accuracy")))
        # Shapes and vocabularies are those of pre-trained members.
        scratch = {"recipe": study.recipes[:1], "budget": (None,), "shapes_from": study.budgets[:1]} | factors
        for levels, found in cells(Grid(scratch, study.seeds, runs.committee, runs.facts)):
            rows += _committee_rows("from scratch", levels["recipe"], 0.0, found, study.members)
    for recipe in study.recipes:
        for budget in study.budgets:
            name, minutes = f"{recipe}, {budget} a member", seconds_of(budget) / 60
            levels = {"recipe": (recipe,), "budget": (budget,)} | factors
            for _, found in cells(Grid(levels, study.seeds, runs.committee, runs.facts)):
                rows += _committee_rows(name, recipe, minutes, found, study.members)
            # As many as there are first: the one is among them, and the committee classifies the texts once.
            counts = (study.members, 1) if study.distill else ()
            grid = Grid({"distilled": counts} | levels, study.seeds, runs.distilled, runs.distilled_facts)
            for at, found in reversed(list(cells(grid))):
                kind = "distilled into one member" if at["distilled"] == 1 else f"distilled into {study.members}"
                measured = _percent(found, "accuracy")
                rows.append(Row(f"{name}, {kind}", kind, recipe, minutes, rows[-1].tokens, measured))
    return rows, failed


def _committee_rows(name: str, recipe: str, minutes: float, found: Sequence[Cell], members: int) -> list[Row]:
    tokens = tuple(count for facts in found[0].measured.values() for count in facts["tokens"])
    single = tuple(
        {seed: 100 * statistics.mean(facts["members"]) for seed, facts in cell.measured.items()} for cell in found
    )
    one, all_of_them = "one member", f"committee of {members}"
    rows = [
        Row(f"{name}, {one}", one, recipe, minutes, tokens, single),
        Row(f"{name}, {all_of_them}", all_of_them, recipe, minutes, tokens, _percent(found, "committee")),
    ]
    alone = _percent(found, "members_alone")
    if any(alone) and alone != rows[-1].measured:
        # Where n-grams vote too, what the members do without them stands before it.
        kind = f"{all_of_them} without n-grams"
        rows.insert(1, Row(f"{name}, {kind}", kind, recipe, minutes, tokens, alone))
    return rows


def _percent(found: Sequence[Cell], measure: str) -> tuple[Mapping[int, float], ...]:
    return tuple({seed: 100 * value for seed, value in cell.values(measure).items()} for cell in found)


def _accuracies(rows: Sequence[Row], tasks: Sequence[str]) -> Section:
    table = Table(["", "M tokens", *tasks], [row.cells() for row in rows])
    return Section("Accuracy, %", ["Mean over seeds ± half of its 95 % t interval (number of seeds)."], [table])


def _differences(rows: Sequence[Row], tasks: Sequence[str]) -> Iterator[Section]:
    """Each row with pre-training minus each baseline, on the seeds that both have."""
    ours = [row for row in rows if row.recipe is not None and row.minutes > 0]
    for baseline in (row for row in rows if row.recipe is None):
        lines = []
        for row in ours:
            pairs = zip(row.measured, baseline.measured, strict=True)
            differences = [paired_difference(mine, theirs) for mine, theirs in pairs]
            if any(differences):
                lines.append([row.name, *[str(difference or "-") for difference in differences]])
        if lines:
            text = "Points of accuracy ahead, paired by seed."
            yield Section(f"Compared with {baseline.name}", [text], [Table(["", *tasks], lines)])


def _draw(file: Path, rows: Sequence[Row], tasks: Sequence[str]) -> None:
    points: list[Point] = []
    levels: list[Level] = []
    for row in rows:
        for task, measured in zip(tasks, row.measured, strict=True):
            if not measured:
                continue
            if row.recipe is None:
                levels.append(Level(task, row.name, measured))
            elif row.recipe == next(iter(RECIPES)):
                points.append(Point(task, row.kind, row.minutes, measured))
    draw(file, points, levels)


def _changed(name: str, study: RecipeStudy) -> Any:
    recipe = RECIPES[name]
    return replace(
        recipe,
        preset=study.preset or recipe.preset,
        pretraining=replace(recipe.pretraining, **_values(recipe.pretraining, study.pretraining)),
        finetuning=replace(recipe.finetuning, **_values(recipe.finetuning, study.finetuning)),
        distillation=replace(recipe.distillation, **_values(recipe.distillation, study.distillation)),
    )


def _values(settings: Any, given: Sequence[str]) -> dict[str, Any]:
    known = {setting.name for setting in fields(settings)}
    values: dict[str, Any] = {}
    for assignment in given:
        name, _, text = assignment.partition("=")
        if name not in known:
            raise InputError(f"{type(settings).__name__} has no {name!r}; it has {', '.join(sorted(known))}")
        values[name] = _number(text)
    return values


def _number(text: str) -> int | float | str:
    for number in (int, float):
        with suppress(ValueError):
            return number(text)
    return text
