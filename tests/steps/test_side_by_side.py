"""Jobs side by side do what they do one by one, and stop in good order."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import jobs
import pytest
from jobs import fail, killed, square, surroundings, until_stopped, untrained

from tinylm.core.errors import InputError, InterruptedByUserError, TinyLMError
from tinylm.core.progress import Silent
from tinylm.steps import side_by_side
from tinylm.steps.side_by_side import run_side_by_side


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 2)


class Heard(Silent):
    """What was reported."""

    def __init__(self):
        self.said, self.shares, self.stages = [], [], []

    def say(self, message):
        self.said.append(message)

    def start(self, what, total, unit):
        self.stages.append((what, total, unit))

    def update(self, done, facts=""):
        self.shares.append(done)


def run(jobs, progress=None, short=False):
    return run_side_by_side("working", "jobs", jobs, progress or Silent(), short=short)


def test_results_are_in_order_and_from_two_processes_on_their_share_of_the_cores():
    heard = Heard()
    results = run([partial(square, number) for number in range(5)], heard)
    assert [result for result, _, _ in results] == [0, 1, 4, 9, 16]
    processes = {process for _, process, _ in results}
    assert len(processes) == 2 and os.getpid() not in processes
    assert {threads for _, _, threads in results} == {"1"}
    assert heard.stages == [("working", 5, "jobs")]
    assert sorted(heard.said) == [f"{number} squared" for number in range(5)]
    assert heard.shares == sorted(heard.shares) and heard.shares[-1] == 5


def test_a_job_that_takes_longer_is_more_of_the_whole():
    heard = Heard()
    jobs = [partial(square, number) for number in range(2)]
    run_side_by_side("working", "jobs", jobs, heard, short=False, seconds=[9, 1])
    possible = {round(1.8 * first + 0.2 * second, 6) for first in (0, 0.5, 1) for second in (0, 0.5, 1)}
    assert {round(share, 6) for share in heard.shares} < possible and heard.shares[-1] == pytest.approx(2)


@pytest.mark.parametrize(("count", "short"), [(1, False), (3, True)], ids=["one", "short"])
def test_one_job_and_short_ones_are_done_here(count, short):
    heard = Heard()
    results = run([partial(square, number) for number in range(count)], heard, short)
    assert {process for _, process, _ in results} == {os.getpid()}
    assert heard.stages == [(f"squaring {number}", 2, "halves") for number in range(count)]


def test_where_one_fails_the_others_save_and_its_error_is_raised(tmp_path):
    other = tmp_path / "other"
    with pytest.raises(InputError, match="this one is wrong"):
        run([partial(until_stopped, other), partial(fail, other.with_suffix(".began")), partial(square, 1)])
    assert other.is_file()


def test_a_process_that_is_killed_is_said_and_the_next_stage_has_new_ones(tmp_path):
    with pytest.raises(TinyLMError, match="a process was killed while working, most often by a system whose memory"):
        run([killed, partial(untrained, tmp_path / "other")])
    assert [result for result, _, _ in run([partial(square, number) for number in range(3)])] == [0, 1, 4]


def test_jobs_end_with_the_process_that_has_them_done_where_it_is_killed(tmp_path):
    files = [tmp_path / name for name in "ab"]
    program = f"""
from functools import partial
from pathlib import Path
from jobs import beating
from tinylm.core.progress import Silent
from tinylm.steps import side_by_side
side_by_side.usable_cores = lambda: 2
work = [partial(beating, Path(name)) for name in {[str(file) for file in files]}]
side_by_side.run_side_by_side("working", "jobs", work, Silent(), short=False)
"""
    support = str(Path(jobs.__file__).parent)
    with subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": support}) as parent:
        deadline = time.monotonic() + 60
        while not all(file.exists() for file in files) and time.monotonic() < deadline:
            time.sleep(0.05)
        parent.kill()
    while any(time.time() - file.stat().st_mtime < 2 for file in files):
        assert time.monotonic() < deadline, "a job goes on"
        time.sleep(0.1)


def test_the_next_stage_finds_the_processes_of_this_one():
    processes = [{process for _, process, _ in run([partial(square, number) for number in range(4)])} for _ in "ab"]
    assert processes[0] == processes[1]


def test_jobs_are_done_in_the_folder_and_the_environment_of_their_stage(tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert {folder for folder, _ in run([surroundings] * 2)} == {str(tmp_path / name)}
        monkeypatch.setenv("TINYLM_CACHE", name)
        assert {cache for _, cache in run([surroundings] * 2)} == {name}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_every_job_once_and_what_has_not_begun_does_not_begin(tmp_path, number):
    training, second, other = (tmp_path / name for name in ("training", "second", "other"))

    def send():
        while not all(file.with_suffix(".began").is_file() for file in (training, second)):
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()
    began = time.monotonic()
    with pytest.raises(InterruptedByUserError):
        run([partial(until_stopped, training), partial(until_stopped, second), partial(untrained, other)])
    assert training.is_file() and second.is_file() and not other.with_suffix(".began").is_file()
    assert time.monotonic() - began < 30


def test_a_signal_ends_work_that_has_no_handler_of_its_own(tmp_path):
    files = tmp_path / "one", tmp_path / "two"

    def send():
        while not all(file.with_suffix(".began").is_file() for file in files):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send).start()
    began = time.monotonic()
    with pytest.raises(InterruptedByUserError):
        run([partial(untrained, file) for file in files])
    assert time.monotonic() - began < 30
