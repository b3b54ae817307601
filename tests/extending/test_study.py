"""A study from outside: a grid, its store, a table with intervals, and a page."""

from functools import partial

import numpy as np

from tinylm.study.grid import Grid, Store
from tinylm.study.reporting.report import Section, Table, write_report
from tinylm.study.statistics.intervals import t_interval

RAN = []


def coin(levels, seed):
    """A run: the share of heads, in per cent."""
    RAN.append(seed)
    heads = np.random.default_rng(seed).random(levels["throws"]) < levels["bias"]
    return {"accuracy": 100 * float(heads.mean())}


def study(store, page):
    factors = {"bias": (0.3, 0.5), "throws": (100, 1000)}
    grid = Grid(factors, (0, 1, 2), coin, lambda levels, seed: {"kind": "coin", "edition": 1, **levels, "seed": seed})
    cells = list(grid.measure(store))
    rows = [[str(dict(cell.levels)), str(t_interval(list(cell.values().values())))] for cell in cells]
    section = Section("Heads", tables=[Table(["coin", "heads, % ± 95 % interval (seeds)"], rows)])
    write = partial(write_report, page, title="Coins", summary="Fair?", sections=[section])
    write(machine="; ".join(store.machines()), settings={"seeds": 3})
    return rows


def test_study_from_outside(tmp_path):
    store, page = Store(tmp_path / "results.json"), tmp_path / "report.html"
    rows = study(store, page)
    assert len(RAN) == 12 and all("±" in interval and "(3)" in interval for _, interval in rows)
    assert study(store, page) == rows and len(RAN) == 12
    assert all(interval in page.read_text(encoding="utf-8") for _, interval in rows)
