"""`tinylm study ...`, imported when a study runs, since studies import torch and the baselines."""

from typing import Annotated

from cyclopts import Parameter

from tinylm.cli.commands import out, progress
from tinylm.steps.flags import FLAT
from tinylm.study.recipe.study import RecipeStudy, run_recipe_study
from tinylm.study.reporting.report import print_sections

_LISTS = Parameter(consume_multiple=True)  # --budgets 3m 10m


def recipe(study: Annotated[RecipeStudy | None, FLAT, _LISTS] = None) -> None:
    """Accuracy for minutes of pre-training, by recipe, against baselines.

    Members are pre-trained for each budget, fine-tuned to each task, and vote. Results are stored as they are
    measured and never run again: repeat the command to go on. Run nothing else on the machine meanwhile.
    """
    print_sections(run_recipe_study(study or RecipeStudy(), progress), out)
