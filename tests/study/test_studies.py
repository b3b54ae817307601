"""Every study at smoke scale, from the command line, on a little text: runs, tables, pages."""

import csv
import json
from pathlib import Path

import pytest
from cli_fixtures import call
from study_fixtures import DESK, write_desk

from tinylm.study.pages import RECORD, Record
from tinylm.study.studies import STUDIES

pytestmark = pytest.mark.slow

ROWS = {
    "rates": 2 * 2,
    # Three arms and two seeds; one of two shapes on few labels too.
    "gap": 3 * 2 * (2 + 1),
    "size": 2 * 2 * 4 * 2,
    "overlap": 2 * (1 + 3 + 1 + 1),
    # Committees of 1 to 3 members from scratch and pre-trained, of 1 and of 2 at equal seconds, beside the deep model.
    # Three models with two kinds of weights, and tf-idf.
    "latency": 2 * (3 * 2 + 1),
    "shape": 2 * 3,
    "committee": 2 * (2 * (2 * 3 + 1) + (2 * 1 + 1) + (2 * 2 + 1)),
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    write_desk(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def results(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run_files(desk: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in desk.glob("s/runs/*/result.json")}


@pytest.mark.parametrize("name", STUDIES)
def test_study_at_smoke_scale_answers_and_is_not_run_twice(desk, name):
    before = run_files(desk)
    planned = call("study", name, *DESK, "-o", f"s/{name}", "--dry-run")
    assert planned.code == 0, planned.err
    assert "estimated time, one after another" in planned.out and run_files(desk) == before
    ran = call("study", name, *DESK, "-o", f"s/{name}")
    assert ran.code == 0, ran.err
    folder = desk / "s" / name
    rows = results(folder)
    assert len(rows) == ROWS[name]
    assert all(0 <= float(row["accuracy"]) <= 1 for row in rows if "accuracy" in row)
    page, markdown = ((folder / file).read_text(encoding="utf-8") for file in ("report.html", "report.md"))
    answer = ran.out.splitlines()[0]
    assert "±" in answer or name == "rates"
    if name == "committee":
        students = [(row["team"], row["arm"], row["members"]) for row in rows if row["student"]]
        assert students == [("bert-1", "default", "3")] * 2
    assert answer in markdown and STUDIES[name].question in markdown
    assert f"tinylm study {name} --scale smoke" in page and "How it was run" in page
    assert all((folder / file.partition(")")[0]).is_file() for file in markdown.split("](")[1:])
    after = run_files(desk)
    assert call("study", name, *DESK, "-o", f"s/{name}").out == ran.out
    assert run_files(desk) == after and before.items() <= after.items()
    assert ": nothing\n" in call("study", name, *DESK, "-o", f"s/{name}", "--dry-run").out


def test_members_are_shared_between_studies(desk):
    """The members of `gap` are the first ones of `committee`."""
    for name in ("gap", "committee"):
        assert call("study", name, *DESK, "-o", f"s/{name}").code == 0
    facts = [json.loads((path / "result.json").read_text())["facts"] for path in desk.glob("s/runs/finetuned-*")]
    starts = {fact["start"] for fact in facts if fact["labels"] == 5} - {"scratch"}
    assert starts & {fact["start"] for fact in facts if fact["index"] == 0 and fact["labels"] is None}


def test_runs_side_by_side_measure_what_they_do_one_by_one(desk, monkeypatch):
    from tinylm.study import running

    few = ("--set", "shapes=bert-1", "arms=default", "labels=none", "rates=1", "width=36")
    stores = []
    for name, short in (("serial", 1e9), ("parallel", -1.0)):
        monkeypatch.setattr(running, "_SHORT_SECONDS", short)
        ran = call("study", "gap", *DESK, *few, "-o", f"{name}/gap")
        assert ran.code == 0, ran.err
        entries = [json.loads(path.read_text()) for path in (desk / name / "runs").glob("*/result.json")]
        stores.append(
            {
                json.dumps(entry["facts"]): {k: v for k, v in entry["measured"].items() if k != "seconds"}
                for entry in entries
            }
        )
    assert len(stores[0]) == 6 and stores[0] == stores[1]


def test_report_makes_the_pages_again_and_an_index(desk):
    for name in ("gap", "rates"):
        assert call("study", name, *DESK, "-o", f"s/{name}").code == 0
        (desk / "s" / name / "report.html").unlink()
    one = call("report", "s/gap", "--to", "docs")
    assert one.code == 0 and (desk / "s/gap/report.html").is_file()
    assert {"report.md", "results.csv", "figure-1.svg"} <= {path.name for path in (desk / "docs/gap").iterdir()}
    every = call("report", "s", "--to", "docs")
    assert every.code == 0 and (desk / "docs/README.md").read_text() == (desk / "s/README.md").read_text()
    assert (desk / "s/rates/report.html").is_file()
    index = (desk / "s/README.md").read_text(encoding="utf-8")
    assert (
        "[How much better is a tiny model that was pre-trained than the same model from scratch?](gap/report.md)"
        in index
    )


def test_parquet_has_the_rows_of_the_csv(desk):
    from pyarrow import parquet

    assert call("study", "gap", *DESK, "-o", "s/gap").code == 0
    table = parquet.read_table(desk / "s/gap/results.parquet").to_pylist()
    assert [str(row["accuracy"]) for row in table] == [row["accuracy"] for row in results(desk / "s/gap")]
    assert {row["labels"] for row in table} == {5, None}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("gaps",),
            "no study is called 'gaps'; choose from rates, gap, size, overlap, committee, latency, shape, recipe",
        ),
        (("gap", "--set", "size=3"), "the study 'gap' has no 'size'; it has corpus, vocabulary"),
        (("gap", "--set", "width"), "--set takes key=value, not 'width'; its keys are corpus, vocabulary"),
        (("gap", "--set", "width=wide"), "width='wide' is not a whole number; give one"),
        (("gap", "--set", "rates=1,fast"), "rates='fast' is not a number; give one"),
        (("gap", "--set", "seeds="), "seeds is empty; give at least one"),
        (("gap", "--set", "arms=elmo"), "no arm of pre-training is called 'elmo'; choose from mlm, mlm-5e-5, default"),
        (("gap", "--set", "width=100"), "width is 100; give a multiple of 12, the heads of bert-1"),
        (("gap", "--set", "documents=5000"), "a subset of 5,000 documents cannot be had of "),
        (("gap", "--set", "labels=70"), "labels.csv leaves a label 16 training texts beside those for validation"),
        (("overlap", "--set", "documents=none"), "documents is none; the study `overlap` compares subsets"),
        (
            ("latency", "--set", "baselines=bayes"),
            "'bayes' is not known; choose from tf-idf + linear SVM, fastText, MiniLM",
        ),
        (("shape", "--set", "trials=1"), "the study `shape` takes one arm and two trials or more"),
        (("size", "--set", "corpus=missing.txt"), "/missing.txt is not there; give a file, folder or glob"),
    ],
)
def test_study_refuses_what_it_cannot_ask(desk, arguments, said):
    ran = call("study", arguments[0], *DESK, *arguments[1:], "-o", "s/refused")
    assert ran.code == 2 and said in ran.error, ran.err
    assert "running" not in ran.err, "refused before anything is run"
    assert not (desk / "s/refused").exists() or not list((desk / "s/refused").glob("report*"))


def test_study_refuses_a_folder_of_something_else(desk):
    (desk / "letters").mkdir()
    (desk / "letters" / "a.txt").write_text("mine")
    ran = call("study", "gap", *DESK, "-o", "letters")
    assert (ran.code, ran.error) == (2, "letters holds something else (a.txt); choose a new folder")


def test_report_of_a_study_without_results_says_how_to_run_it(desk):
    (desk / "empty").mkdir()
    Record("gap", "smoke", ("corpus=notes.txt", "vocabulary=none", "tasks=labels.csv"), str(desk / "none")).save(
        desk / "empty"
    )
    ran = call("report", "empty")
    command = (
        "tinylm study gap --scale smoke --set corpus=notes.txt --set vocabulary=none --set tasks=labels.csv -o gap"
    )
    assert (ran.code, ran.error) == (2, f"nothing of the study in empty is measured yet; run it with {command}")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (None, "nowhere holds no study; give the folder that `tinylm study -o` wrote, or one of such folders"),
        ("{", "nowhere/study.json describes no study; run the study again"),
        ("{}", "nowhere/study.json describes no study; run the study again"),
    ],
)
def test_report_refuses_what_is_no_study(desk, prepare, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if prepare is not None:
        Path("nowhere").mkdir()
        (Path("nowhere") / RECORD).write_text(prepare)
    ran = call("report", "nowhere")
    assert (ran.code, ran.error) == (2, said)
