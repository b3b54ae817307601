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
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from recipe_rivals import RIVALS, rival_accuracy
from recipe_runs import RECIPES, TASKS, Accuracy, Recipe, accuracies
from rounds import machine
from tinylm.train.settings import FinetuneSettings, PretrainSettings


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
    parser.add_argument("--test", action="store_true", help="the test parts, with rivals")
    arguments = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    recipes = {name: _changed(RECIPES[name], arguments) for name in arguments.recipes}
    seeds = range(arguments.seeds)
    rows: list[tuple[str, list[str]]] = []
    if arguments.test:
        for name in RIVALS:
            measured = [
                [rival_accuracy(name, task, seed, arguments.data) for seed in seeds] for task in arguments.tasks
            ]
            rows.append((name, [_spread(runs) for runs in measured]))
            _show(rows[-1])

    def run(name: str, recipe: Recipe, budget: str, *, from_scratch: bool) -> None:
        measured = [
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
                )
                for seed in seeds
            ]
            for task in arguments.tasks
        ]
        for row in _rows(name, measured, arguments.members):
            rows.append(row)
            _show(row)

    if arguments.test:
        # Shapes and vocabularies are those of the pre-trained members, so they come first.
        run("from scratch", next(iter(recipes.values())), arguments.budgets[0], from_scratch=True)
    for name, recipe in recipes.items():
        for budget in arguments.budgets:
            run(f"{name}, {budget} a member", recipe, budget, from_scratch=False)
    print(f"\n| | {' | '.join(arguments.tasks)} |\n|---|{'--:|' * len(arguments.tasks)}")
    for row in rows:
        _show(row)


def _changed(recipe: Recipe, arguments: argparse.Namespace) -> Recipe:
    return Recipe(
        arguments.preset or recipe.preset,
        replace(recipe.pretraining, **_values(PretrainSettings, arguments.pretrain)),
        replace(recipe.finetuning, **_values(FinetuneSettings, arguments.finetune)),
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


def _rows(name: str, measured: list[list[Accuracy]], members: int) -> list[tuple[str, list[str]]]:
    one = [_spread(statistics.mean(run.members) for run in runs) for runs in measured]
    committee = [_spread(run.committee for run in runs) for runs in measured]
    return [(f"{name}, one member", one), (f"{name}, committee of {members}", committee)]


def _spread(accuracy: Iterable[float]) -> str:
    """Mean and standard deviation over seeds, in per cent."""
    values = [100 * value for value in accuracy]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def _show(row: tuple[str, list[str]]) -> None:
    print(f"| {row[0]} | {' | '.join(row[1])} |", flush=True)


if __name__ == "__main__":
    main()
