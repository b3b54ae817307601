"""What is run, in which order, and what becomes of runs that fail."""

import re
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tinylm.core.errors import InputError
from tinylm.core.progress import Silent
from tinylm.study.grid import run_name
from tinylm.study.pace import StudyProgress, duration
from tinylm.study.running import Plan, run_study
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.run import Run, name_of
from tinylm.study.runs.run_folders import RESULT, RunFolders

RAN: list[str] = []
FAIL: set[str] = set()


@dataclass(frozen=True)
class Toy(Run):
    """Measures the sum of what it needs and one."""

    letter: str
    after: tuple["Toy", ...] = ()

    @property
    def title(self):
        return f"toy {self.letter}"

    def needs(self, lab):
        return self.after

    def facts(self, lab):
        return {"kind": "toy", "letter": self.letter}

    def measure(self, lab, progress):
        RAN.append(self.letter)
        if self.letter in FAIL:
            raise RuntimeError(f"no {self.letter} today")
        return {"accuracy": 1 + sum(lab.measured(need.facts(lab))["accuracy"] for need in self.after)}


A, B = Toy("a"), Toy("b")
C = Toy("c", (A, B))
D = Toy("d", (C,))


@pytest.fixture
def lab(tmp_path):
    RAN.clear()
    FAIL.clear()
    return Lab(RunFolders(tmp_path / "runs"))


def do(lab, *runs, progress=None):
    return run_study(lab, Plan(runs, runs, dict.fromkeys(runs, 1.0)), progress or Silent())


def test_runs_go_after_what_they_need(lab):
    assert do(lab, D, C, B, A) == {}
    assert RAN[:2] == ["b", "a"] and RAN[2:] == ["c", "d"]
    assert lab.measured(D.facts(lab)) == {"accuracy": 4}
    assert name_of(D, lab) == run_name({"kind": "toy", "letter": "d"})


def test_runs_that_are_stored_are_not_run_again(lab):
    do(lab, A, B)
    RAN.clear()
    do(lab, D, C, B, A)
    assert RAN == ["c", "d"]


def test_a_failed_run_is_kept_with_its_reason_and_what_needs_it_is_not_begun(lab):
    FAIL.add("b")
    failed = do(lab, D, C, B, A)
    assert failed == {
        "toy b": "RuntimeError: no b today",
        "toy c": "what it needs failed",
        "toy d": "what it needs failed",
    }
    RAN.clear()
    assert do(lab, D, C, B, A) == failed and RAN == [], "a failed run is not run again unless that is requested"
    FAIL.clear()
    assert do(Lab(RunFolders(lab.store.file, retry=True)), D, C, B, A) == {}
    assert RAN == ["b", "c", "d"]


def test_a_run_that_fails_again_is_tried_once(lab):
    FAIL.add("a")
    do(lab, A)
    RAN.clear()
    do(Lab(RunFolders(lab.store.file, retry=True)), A)
    assert RAN == ["a"]


def test_a_damaged_result_is_named(lab):
    path = lab.store.folder(name_of(A, lab)) / RESULT
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(InputError, match=r"result\.json is no result of a run .*; remove .* and run again"):
        do(lab, A)


def test_progress_says_how_many_are_done_running_and_to_go(lab, heard):
    do(lab, D, C, B, A, progress=heard)
    first, *_, last = (line for line in heard.lines if "to go" in line)
    assert re.fullmatch(r"0 runs done, [12] running, [23] to go; about 4 s left", first)
    assert last.startswith("3 runs done, 1 running, 0 to go")
    assert "toy d: 0 s, accuracy 4.000" in heard.lines


def test_progress_says_how_far_it_is_within_a_long_round(heard, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    shown = StudyProgress(heard, {A: 100.0, B: 100.0, C: 100.0, D: 100.0}, 6)
    shown.begin([A, B, C, D], 4, alone=True)
    now[0] += 50
    shown.say("toy a: 50 s")
    assert len(heard.lines) == 2, "not more than once a minute"
    now[0] += 50
    shown.say("warning: toy b is odd")
    shown.say("toy b: 50 s")
    assert heard.lines[-1] == "4 runs done, 1 running, 1 to go; about 100 s left".replace("100 s", "2 min")


@pytest.mark.parametrize("seconds", [60.0, 0.1], ids=["long enough", "too short to know the pace by"])
def test_of_runs_that_take_unlike_times_the_one_that_is_done_counts(heard, monkeypatch, seconds):
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    shown = StudyProgress(heard, {A: 600.0, B: seconds}, 2)
    shown.begin([A, B], 2, alone=False)
    now[0] += 61
    shown.say("toy b: 61 s")
    assert heard.lines[-1].endswith("; about 10 min left")


KILLED = """
import os, sys
from pathlib import Path
from test_running import A, B, C, Toy, do
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.run_folders import RunFolders
Toy.measure = lambda self, lab, progress: os._exit(9) if self.letter == "c" else {"accuracy": 1}
do(Lab(RunFolders(Path(sys.argv[1]))), A, B, C)
"""


def test_killing_loses_the_run_in_flight_alone(lab, tmp_path):
    here = str(__file__).rpartition("/")[0]
    program = f"import sys; sys.path.insert(0, {here!r})\n{KILLED}"
    assert subprocess.run([sys.executable, "-c", program, lab.store.file], check=False).returncode == 9
    assert len(list(lab.store.file.glob(f"*/{RESULT}"))) == 2
    do(lab, A, B, C)
    assert RAN == ["c"]


@pytest.mark.parametrize(("seconds", "shown"), [(3.2, "3 s"), (600, "10 min"), (7500, "2 h 05 min")])
def test_duration_is_in_words(seconds, shown):
    assert duration(seconds) == shown
