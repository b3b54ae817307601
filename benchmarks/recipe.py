"""Which recipe buys the most accuracy for a fixed time of pre-training? One command, one table.

    python benchmarks/recipe.py --data ../shared/data
    python benchmarks/recipe.py --budgets 3m --seeds 0 1 --pretrain batch_size=256 --finetune epochs=4

Members are pre-trained on all Wikipedia openings of the data folder for a budget each, fine-tuned to three tasks (the
paper's samples), and vote. By default accuracy is that on validation texts: training rows outside the sample, for
FewRel a tenth of the sample. `--test` reports the test parts instead, and the rivals beside them: for final tables.

Each run is a folder in `runs/recipe`, named by the hash of its settings: what was interrupted goes on. Results are kept
in one file (`recipe_results.py`), and what is in it is not run again; `--results docs/recipe.json` shows ours. Give it
the machine to itself, since the clock decides how much is learnt.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from recipe_chart import Point, Rival, draw
from recipe_results import Results, UnknownResultError
from recipe_rivals import RIVALS, rival_accuracy
from recipe_runs import RECIPES, RUNS, TASKS, Accuracy, Bench, Recipe
from tinylm.train.schedule import seconds_of
from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings

Measured = TypeVar("Measured")


def main() -> None:
    """Run what is asked and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of the data sets")
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--budgets", nargs="+", default=["3m", "10m"], help="pre-training of a member")
    parser.add_argument("--tasks", nargs="+", choices=[*TASKS, "fewrel-marked"], default=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="a committee of each kind for each")
    parser.add_argument("--members", type=int, default=4, help="of a committee")
    parser.add_argument("--preset", help="shape of the members, in place of the recipe's")
    parser.add_argument("--pretrain", nargs="*", default=[], metavar="NAME=VALUE", help="changes to pre-training")
    parser.add_argument("--finetune", nargs="*", default=[], metavar="NAME=VALUE", help="changes to fine-tuning")
    parser.add_argument("--distil", nargs="*", metavar="NAME=VALUE", help="also teach committees to members")
    parser.add_argument("--test", action="store_true", help="the test parts, with rivals and from scratch")
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=list(RIVALS), help="with --test; all")
    parser.add_argument("--results", type=Path, default=RUNS / "results.json", help="what is known already")
    parser.add_argument("--show", action="store_true", help="run nothing: show of this what is known")
    parser.add_argument("--chart", type=Path, help="draw accuracy against minutes into this file, .svg or .png")
    arguments = parser.parse_args()
    bench = Bench(arguments.data, Results(arguments.results, arguments.show), arguments.members, arguments.test)
    recipes = {name: _changed(RECIPES[name], arguments) for name in arguments.recipes}
    rows: list[_Row] = []
    if arguments.test:
        rows += [_rival(name, bench, arguments) for name in arguments.rivals]
        # Shapes and vocabularies are those of the pre-trained members, so they come first.
        first = next(iter(recipes))
        rows += _committees("from scratch", first, recipes[first], arguments.budgets[0], bench, arguments, scratch=True)
    for name, recipe in recipes.items():
        for budget in arguments.budgets:
            rows += _committees(f"{name}, {budget} a member", name, recipe, budget, bench, arguments)
    print(f"\n| | M tokens | {' | '.join(arguments.tasks)} |\n|---|--:|{'--:|' * len(arguments.tasks)}")
    for row in rows:
        row.show()
    print("\n" + "\n".join(bench.results.machines()))
    if arguments.chart:
        _draw(arguments.chart, rows, arguments.tasks)


@dataclass(frozen=True)
class _Row:
    """A row of the table: accuracy in per cent by seed, for each task; tokens of pre-training, one a member."""

    name: str
    kind: str
    recipe: str | None
    minutes: float
    tokens: tuple[int, ...]
    measured: tuple[Mapping[int, float], ...]

    def show(self) -> None:
        """Print it: mean, standard deviation over seeds, and how many seeds."""
        tokens = f"{statistics.mean(self.tokens) / 1e6:.0f}" if self.tokens else ""
        print(f"| {self.name} | {tokens} | {' | '.join(map(_spread, self.measured))} |", flush=True)


def _rival(name: str, bench: Bench, arguments: argparse.Namespace) -> _Row:
    def accuracy(task: str, seed: int) -> float:
        return rival_accuracy(name, task, seed, bench.data, bench.results)

    found = [_known_seeds(partial(accuracy, task), arguments.seeds) for task in arguments.tasks]
    return _Row(
        name, name, None, 0.0, (), tuple({seed: 100 * value for seed, value in of_task.items()} for of_task in found)
    )


def _committees(
    name: str,
    recipe_name: str,
    recipe: Recipe,
    budget: str,
    bench: Bench,
    arguments: argparse.Namespace,
    *,
    scratch: bool = False,
) -> list[_Row]:
    distil = arguments.distil is not None and not scratch

    def measure(task: str, seed: int) -> Accuracy:
        return bench.accuracy(recipe, budget, task, seed, from_scratch=scratch, distil=distil)

    runs = [_known_seeds(partial(measure, task), arguments.seeds) for task in arguments.tasks]
    kinds: dict[str, Callable[[Accuracy], float | None]] = {
        "one member": lambda run: statistics.mean(run.members),
        f"committee of {arguments.members}": lambda run: run.committee,
    }
    if distil:
        kinds["distilled into one member"] = lambda run: run.distilled
        kinds[f"distilled into {arguments.members}"] = lambda run: run.pupils
    minutes = 0.0 if scratch else seconds_of(budget) / 60
    tokens = tuple(count for run in runs[0].values() for count in run.tokens)
    made = []
    for kind, value in kinds.items():
        measured = tuple(
            {seed: 100 * accuracy for seed, run in of_task.items() if (accuracy := value(run)) is not None}
            for of_task in runs
        )
        made.append(_Row(f"{name}, {kind}", kind, recipe_name, minutes, tokens, measured))
    return made


def _known_seeds(measure: Callable[[int], Measured], seeds: Sequence[int]) -> dict[int, Measured]:
    """What is measured of each seed, without those that are not known where nothing is run."""
    found = {}
    for seed in seeds:
        with suppress(UnknownResultError):
            found[seed] = measure(seed)
    return found


def _draw(file: Path, rows: Sequence[_Row], tasks: Sequence[str]) -> None:
    points: list[Point] = []
    rivals: list[Rival] = []
    for row in rows:
        for task, measured in zip(tasks, row.measured, strict=True):
            if not measured:
                continue
            if row.recipe is None:
                rivals.append(Rival(task, row.name, measured))
            elif row.recipe == next(iter(RECIPES)):
                points.append(Point(task, row.kind, row.minutes, measured))
    draw(file, points, rivals)


def _changed(recipe: Recipe, arguments: argparse.Namespace) -> Recipe:
    return Recipe(
        arguments.preset or recipe.preset,
        replace(recipe.pretraining, **_values(PretrainSettings, arguments.pretrain)),
        replace(recipe.finetuning, **_values(FinetuneSettings, arguments.finetune)),
        replace(recipe.distillation, **_values(DistillSettings, arguments.distil or [])),
    )


def _values(kind: type, given: Sequence[str]) -> dict[str, Any]:
    types = {field.name: field.type for field in fields(kind)}
    values: dict[str, Any] = {}
    for assignment in given:
        name, _, text = assignment.partition("=")
        if name not in types:
            raise SystemExit(f"{kind.__name__} has no {name!r}; it has {', '.join(types)}")
        values[name] = next((number(text) for number in (int, float) if _is(number, text)), text)
    return values


def _is(number: type, text: str) -> bool:
    try:
        number(text)
    except ValueError:
        return False
    return True


def _spread(measured: Mapping[int, float]) -> str:
    accuracies = list(measured.values())
    if len(accuracies) < 2:
        return f"{accuracies[0]:.1f} (1)" if accuracies else "-"
    return f"{statistics.mean(accuracies):.1f} ± {statistics.stdev(accuracies):.1f} ({len(accuracies)})"


if __name__ == "__main__":
    main()
