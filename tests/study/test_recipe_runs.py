"""The runs of the recipe's study, on little text: baseline, committees, distilled members."""

import json
import random
import re

import pytest
from cli_fixtures import call, sentence, write_csv

from tinylm.study.recipe.runs import load_part

LABELS = {"account": 0, "network": 1, "printer": 2}
FLAGS = (
    *("--data-dir", "data", "--recipes", "tinylm", "--budgets", "1s", "--tasks", "ag_news", "--seeds", "0"),
    *("--members", "2", "--preset", "bert-1-w128", "--test", "--distill", "--baselines", "tf-idf + linear SVM"),
    *("--pretraining", "precision=float32", "--finetuning", "steps=3", "precision=float32"),
    *("--distillation", "steps=3", "precision=float32"),
)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of data sets: Wikipedia, and AG News with three labels."""
    generator = random.Random(0)
    for name in ("wikipedia", "ag_news"):
        (tmp_path / "data" / name).mkdir(parents=True)
    topics = [generator.choice(sorted(LABELS)) for _ in range(400)]
    lines = "".join(sentence(topic, generator, generator.randint(20, 50)) + "\n" for topic in topics)
    (tmp_path / "data" / "wikipedia" / "train.txt").write_text(lines)
    for part, count in (("train", 1100), ("test", 1000)):
        rows = [
            (f"{sentence(topic, generator, 8)} {part} {number}", str(label))
            for topic, label in LABELS.items()
            for number in range(count)
        ]
        write_csv(tmp_path / "data" / "ag_news" / f"{part}.csv", rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_recipe_study_makes_baseline_committees_and_distilled_members_and_stores_them(data):
    ran = call("study", "recipe", *FLAGS)
    assert ran.code == 0, ran.err
    results = data / "runs" / "recipe" / "results.json"
    stored = json.loads(results.read_text())
    measured = {entry["facts"]["kind"]: entry.get("measured") for entry in stored.values()}
    assert measured.keys() == {"baseline", "from-scratch", "committee", "distilled", "distilled-committee"}
    assert measured["baseline"]["accuracy"] > 0.9
    assert measured["from-scratch"]["tokens"] == []
    assert len(measured["committee"]["members"]) == 2 and min(measured["committee"]["tokens"]) > 0
    assert all(0 <= measured[kind]["accuracy"] <= 1 for kind in ("distilled", "distilled-committee"))
    for row in ("from scratch, one member", "1s a member, committee of 2", "distilled into one member"):
        assert row in " ".join(re.sub("[│┃]", " ", ran.out).split())
    assert "Failed runs" not in ran.out

    before = results.stat().st_mtime_ns
    assert call("study", "recipe", *FLAGS).out == ran.out and results.stat().st_mtime_ns == before


def test_load_part_validates_on_training_rows_outside_the_sample(data):
    test = load_part("ag_news", 0, data / "data", test=True)
    validation = load_part("ag_news", 0, data / "data", test=False)
    assert validation.train.texts == test.train.texts and len(test.train) == 3000 and len(test.test) == 3000
    assert len(validation.test) == 300 and all(" train " in text for text in validation.test.texts)
    assert set(validation.test.texts).isdisjoint(test.train.texts)
