"""Which recipe buys the most accuracy for a fixed time of pre-training? One command, one table.

    python benchmarks/recipe.py --data ../shared/data
    python benchmarks/recipe.py --budgets 3m --seeds 2 --pretrain batch_size=256 --finetune epochs=4

Members are pre-trained on all Wikipedia openings of the data folder for a budget each, fine-tuned to three tasks (the
paper's samples), and vote. By default accuracy is that on validation texts: training rows outside the sample, for
FewRel a tenth of the sample. `--test` reports the test parts instead, and the rivals beside them: for final tables.

Each run is a folder in `runs/recipe`, named by the hash of its settings (`recipe_runs.py`): what is there is not run
again, and what was interrupted goes on. Give it the machine to itself, since the clock decides how much is learnt.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from recipe_chart import Point, Rival, draw
from recipe_rivals import RIVALS, rival_accuracy
from recipe_runs import RECIPES, TASKS, Accuracy, Recipe, accuracies
from rounds import machine
from tinylm.train.schedule import seconds_of
from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings


def main() -> None:
    """Run what is asked and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of the data sets")
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--budgets", nargs="+", default=["3m", "10m"], help="pre-training of a member")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--seeds", type=int, default=3, help="committees of each kind")
    parser.add_argument("--members", type=int, default=4, help="of a committee")
    parser.add_argument("--preset", help="shape of the members, in place of the recipe's")
    parser.add_argument("--pretrain", nargs="*", default=[], metavar="NAME=VALUE", help="changes to pre-training")
    parser.add_argument("--finetune", nargs="*", default=[], metavar="NAME=VALUE", help="changes to fine-tuning")
    parser.add_argument("--distil", nargs="*", metavar="NAME=VALUE", help="also teach committees into one member")
    parser.add_argument("--test", action="store_true", help="the test parts, with rivals and from scratch")
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=list(RIVALS), help="with --test; all")
    parser.add_argument("--chart", type=Path, help="draw accuracy against minutes into this file, .svg or .png")
    arguments = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    recipes = {name: _changed(RECIPES[name], arguments) for name in arguments.recipes}
    rows: list[_Row] = []
    if arguments.test:
        rows += [_rival(name, arguments) for name in arguments.rivals]
        # Shapes and vocabularies are those of the pre-trained members, so they come first.
        first = next(iter(recipes))
        rows += _committees("from scratch", first, recipes[first], arguments.budgets[0], arguments, from_scratch=True)
    for name, recipe in recipes.items():
        for budget in arguments.budgets:
            rows += _committees(f"{name}, {budget} a member", name, recipe, budget, arguments)
    print(f"\n| | {' | '.join(arguments.tasks)} |\n|---|{'--:|' * len(arguments.tasks)}")
    for row in rows:
        row.show()
    if arguments.chart:
        _draw(arguments.chart, rows, arguments.tasks)


@dataclass(frozen=True)
class _Row:
    """A row of the table: accuracy in per cent, one a seed, for each task."""

    name: str
    kind: str
    recipe: str | None
    minutes: float
    measured: tuple[tuple[float, ...], ...]

    def show(self) -> None:
        """Print it: mean and standard deviation over seeds."""
        print(f"| {self.name} | {' | '.join(map(_spread, self.measured))} |", flush=True)


def _rival(name: str, arguments: argparse.Namespace) -> _Row:
    seeds = range(arguments.seeds)
    measured = tuple(
        tuple(100 * rival_accuracy(name, task, seed, arguments.data) for seed in seeds) for task in arguments.tasks
    )
    row = _Row(name, name, None, 0.0, measured)
    row.show()
    return row


def _committees(
    name: str,
    recipe_name: str,
    recipe: Recipe,
    budget: str,
    arguments: argparse.Namespace,
    *,
    from_scratch: bool = False,
) -> list[_Row]:
    distil = arguments.distil is not None and not from_scratch
    runs = [
        [
            accuracies(
                recipe,
                budget,
                task,
                seed,
                arguments.members,
                arguments.data,
                test=arguments.test,
                from_scratch=from_scratch,
                distil=distil,
            )
            for seed in range(arguments.seeds)
        ]
        for task in arguments.tasks
    ]
    kinds: dict[str, Callable[[Accuracy], float]] = {
        "one member": lambda run: statistics.mean(run.members),
        f"committee of {arguments.members}": lambda run: run.committee,
    }
    if distil:
        kinds["distilled into one member"] = lambda run: run.distilled or 0.0
    minutes = 0.0 if from_scratch else seconds_of(budget) / 60
    made = []
    for kind, value in kinds.items():
        measured = tuple(tuple(100 * value(run) for run in of_task) for of_task in runs)
        made.append(_Row(f"{name}, {kind}", kind, recipe_name, minutes, measured))
        made[-1].show()
    return made


def _draw(file: Path, rows: Sequence[_Row], tasks: Sequence[str]) -> None:
    points: list[Point] = []
    rivals: list[Rival] = []
    for row in rows:
        for task, measured in zip(tasks, row.measured, strict=True):
            if row.recipe is None:
                rivals.append(Rival(task, row.name, statistics.mean(measured)))
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


def _spread(accuracies: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(accuracies):.1f}" if len(accuracies) > 1 else ""
    return f"{statistics.mean(accuracies):.1f}{spread}"


if __name__ == "__main__":
    main()
