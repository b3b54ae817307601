"""The study of the recipe, on our stored results."""

import json
import re
from pathlib import Path

import pytest
from cli_fixtures import call

from tinylm.core.errors import InputError
from tinylm.core.progress import Silent
from tinylm.study.grid import run_name
from tinylm.study.recipe.study import RecipeStudy, run_recipe_study

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "recipe.json"
SHOWN = {"results": RESULTS, "show": True, "test": True, "recipes": ("tinylm",)}


def table(**changed):
    accuracies, *_ = run_recipe_study(RecipeStudy(**SHOWN | changed), Silent())
    (found,) = accuracies.tables
    return {row[0]: row[1:] for row in found.rows}


def test_recipe_results_stand_under_the_hash_of_their_facts():
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert len(stored) == 139 and all(name == run_name(entry["facts"]) for name, entry in stored.items())


def test_recipe_finds_every_stored_result_under_the_settings_of_today():
    """Settings that change, by name or default, would have every member trained again: raise an edition, or re-key."""
    rows = table(budgets=("1m", "3m", "10m", "30m"), distill=True)
    assert rows["tinylm, 10m a member, committee of 4"] == ["52", "89.5 ± 1.5 (3)", "95.3 ± 2.3 (3)", "62.9 ± 1.8 (3)"]
    assert [cells[1:] for name, cells in rows.items() if "30m" in name][:2] == [
        ["89.8 (1)", "95.8 (1)", "62.3 (1)"],
        ["90.6 (1)", "96.4 (1)", "63.7 (1)"],
    ]
    assert rows["tinylm, 10m a member, distilled into 4"][2] == "96.2 ± 2.2 (3)"
    assert rows["from scratch, one member"][1:] == ["85.2 ± 1.8 (3)", "89.3 ± 2.4 (3)", "53.0 ± 2.6 (3)"]
    paper = table(recipes=("the paper's recipe",), members=1, budgets=("10m", "30m"), seeds=(1,))
    assert paper["the paper's recipe, 30m a member, one member"] == ["16", "84.7 (1)", "88.6 (1)", "53.1 (1)"]
    differing = table(recipes=("members that differ",), budgets=("10m",))
    name = "members that differ, 10m a member, committee of 4"
    assert differing[name][1:] == ["89.5 ± 1.4 (3)", "96.0 ± 1.2 (3)", "65.0 ± 0.9 (2)"]
    assert differing[f"{name} without n-grams"][1:] == ["89.5 ± 1.5 (3)", "95.8 ± 1.6 (3)", "64.3 ± 0.1 (2)"]


def test_recipe_takes_no_old_tfidf_result_for_the_new_baseline():
    editions = [
        entry["facts"]["edition"]
        for entry in json.loads(RESULTS.read_text(encoding="utf-8")).values()
        if entry["facts"].get("name") == "tf-idf + linear SVM"
    ]
    assert sorted(editions) == [1] * 10 + [2] * 12
    assert table(tasks=("fewrel-marked",), budgets=())["tf-idf + linear SVM"][1:] == ["77.3 ± 0.6 (3)"]


def test_study_command_prints_stored_results():
    ran = call(
        "study", "recipe", "--show", "--results", RESULTS, "--test", "--recipes", "tinylm", "--budgets", "3m", "10m"
    )
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("\nAccuracy, %\nMean over seeds")
    assert "89.5 ± 1.5 (3)" in ran.out and "Compared with tf-idf + linear SVM" in ran.out and ": 129 results" in ran.out


def test_study_command_explains_every_flag():
    pages = call("study", "--help").out + call("study", "recipe", "--help").out
    assert "Accuracy for minutes of pre-training" in pages and "Times of pre-training a member." in pages
    assert not re.search(r"--[a-z.-]+ +[A-Z.]* +│", pages)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tasks", "imdb"), "'imdb' is not known; choose from ag_news, dbpedia_14, fewrel, fewrel-marked"),
        (("--rivals", "fastText"), "Unknown option: --rivals; see tinylm study --help"),
    ],
)
def test_study_command_refuses_what_it_does_not_know(flags, message):
    ran = call("study", "recipe", *flags)
    assert (ran.code, ran.error) == (2, message)


def test_recipe_draws_the_chart_and_writes_the_page(tmp_path):
    table(budgets=("1m", "10m"), distill=True, chart=tmp_path / "a.svg", page=tmp_path / "a.html")
    assert "tf-idf" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "62.9 ± 1.8 (3)" in page and "Compared with tf-idf + linear SVM" in page


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tasks": ("imdb",)}, "'imdb' is not known; choose from ag_news"),
        ({"pretraining": ("mask_rate=0.3",)}, "PretrainSettings has no 'mask_rate'; it has .*mlm_probability"),
    ],
)
def test_recipe_refuses_what_it_does_not_know(changed, message):
    with pytest.raises(InputError, match=message):
        table(**changed)
