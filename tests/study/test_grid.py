"""The grid of a study, and the store of its results."""

import json
import subprocess
import sys

import pytest
import torch

from tinylm.core.errors import InputError, InterruptedByUserError
from tinylm.study.grid import FailedRunError, Grid, Store, UnknownResultError, machine, run_name


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results.json")


class Counted:
    """Measures width times depth, and keeps what it ran."""

    def __init__(self, raises=None):
        self.ran, self.raises = [], raises or {}

    def __call__(self, levels, seed):
        self.ran.append((levels["width"], levels["depth"], seed))
        if self.ran[-1] in self.raises:
            raise self.raises[self.ran[-1]]
        return {"accuracy": levels["width"] * levels["depth"] + seed}


def grid(run, edition=1, **changed):
    factors = {"width": (2, 3), "depth": (10, 20)} | changed
    return Grid(factors, (0, 1), run, lambda levels, seed: {"kind": "toy", "edition": edition, **levels, "seed": seed})


def test_grid_runs_every_combination_with_every_seed(store):
    run = Counted()
    cells = list(grid(run).measure(store))
    assert run.ran == [(width, depth, seed) for width in (2, 3) for depth in (10, 20) for seed in (0, 1)]
    assert [cell.values() for cell in cells] == [{0: 20, 1: 21}, {0: 40, 1: 41}, {0: 30, 1: 31}, {0: 60, 1: 61}]


def test_grid_runs_nothing_that_is_stored(store):
    first = list(grid(Counted()).measure(store))
    run = Counted()
    assert list(grid(run).measure(store)) == first and run.ran == []
    list(grid(run, depth=(10, 20, 30)).measure(store))
    assert run.ran == [(2, 30, 0), (2, 30, 1), (3, 30, 0), (3, 30, 1)], "a further level alone is run"
    again = Counted()
    list(grid(again, edition=2).measure(store))
    assert len(again.ran) == 8, "another edition of the code is another result"


def test_grid_keeps_a_failed_run_with_its_reason(store):
    run = Counted(raises={(2, 20, 1): RuntimeError("the loss is not finite")})
    cells = list(grid(run).measure(store))
    assert cells[1].failed == {1: "RuntimeError: the loss is not finite"} and cells[1].values() == {0: 40}
    assert len(cells[3].values()) == 2, "the others go on"
    healthy = Counted()
    assert list(grid(healthy).measure(store))[1].failed and healthy.ran == []
    retried = list(grid(healthy).measure(Store(store.file, retry=True)))
    assert healthy.ran == [(2, 20, 1)] and not retried[1].failed
    assert not list(grid(Counted()).measure(store))[1].failed


@pytest.mark.parametrize("error", [InputError("no such file"), InterruptedByUserError(), KeyboardInterrupt()])
def test_grid_stops_at_bad_input_and_ctrl_c_and_stores_neither(store, error):
    run = Counted(raises={(2, 20, 0): error})
    with pytest.raises(type(error)):
        list(grid(run).measure(store))
    assert len(json.loads(store.file.read_text())) == 2
    again = Counted()
    list(grid(again).measure(store))
    assert len(again.ran) == 6


KILLED = """
import os, sys
from tinylm.study.grid import Grid, Store
def run(levels, seed):
    if seed == 2:
        os._exit(9)
    return {"accuracy": seed}
grid = Grid({"a": (1,)}, (0, 1, 2), run, lambda levels, seed: {"kind": "toy", **levels, "seed": seed})
list(grid.measure(Store(__import__("pathlib").Path(sys.argv[1]))))
"""


def test_store_loses_the_run_in_flight_alone_where_the_process_is_killed(tmp_path):
    file = tmp_path / "results.json"
    assert subprocess.run([sys.executable, "-c", KILLED, file], check=False).returncode == 9
    assert sorted(entry["measured"]["accuracy"] for entry in json.loads(file.read_text()).values()) == [0, 1]


def test_store_that_is_complete_runs_nothing(store):
    complete = Store(store.file, complete=True)
    with pytest.raises(UnknownResultError):
        complete.measure({"kind": "toy"}, dict)
    assert all(not cell.measured for cell in grid(Counted()).measure(complete))
    assert not store.file.exists()


def test_store_keeps_facts_machine_and_date(store):
    facts = {"kind": "toy", "seed": 3}
    store.measure(facts, lambda: {"accuracy": 0.5})
    (name,), (entry,) = zip(*json.loads(store.file.read_text()).items(), strict=True)
    assert name == run_name(facts) and name.startswith("toy-")
    assert (entry["facts"], entry["measured"]) == (facts, {"accuracy": 0.5})
    assert {"processor", "cores", "python"} <= entry["machine"].keys() and len(entry["when"]) == 10
    assert store.machines()[0].endswith(": 1 results")


def test_a_gpu_is_part_of_the_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    assert machine()["gpu"] == "NVIDIA H200"


def test_store_names_a_file_that_is_damaged(store):
    store.file.write_text("{")
    with pytest.raises(InputError, match=r"results\.json is no file of results"):
        store.measure({"kind": "toy"}, dict)


def test_store_raises_a_failed_run_again(store):
    def fail():
        raise ValueError("bad")

    for _ in range(2):
        with pytest.raises(FailedRunError, match="ValueError: bad"):
            store.measure({"kind": "toy"}, fail)
