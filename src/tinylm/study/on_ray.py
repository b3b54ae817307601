"""Runs as tasks of a Ray cluster, each with one core, or a share of a GPU where there are GPUs.

The folder of runs, the data and tinylm's cache are folders that all nodes see. A task whose node dies begins again on
another one, from the checkpoint of its training.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from tinylm.core.extras import needed
from tinylm.core.progress import Progress, Silent
from tinylm.steps.side_by_side import Job

ADDRESS = "RAY_ADDRESS"
"""Environment variable with the address of the cluster; one on this machine is started where it is not set."""

_RUNS_OF_A_GPU = 4
"""Members that share a GPU, which one alone leaves idle most of the time."""
_MORE_TRIES = 3
"""Of a task whose node or process died."""


def run_on_ray(jobs: Sequence[Job[None]], progress: Progress) -> None:
    """Do all jobs, as many at once as the cluster has room for.

    Args:
        jobs: what to do; what they say is passed on when they are done.
        progress: receives how many are done.

    Raises:
        MissingExtraError: Ray is not installed.
        Exception: what the first job that failed raised.
    """
    ray = needed("ray", "A study on Ray")
    if not ray.is_initialized():
        ray.init(address=os.environ.get(ADDRESS), log_to_driver=False, logging_level=logging.ERROR)
    share = {"num_gpus": 1 / _RUNS_OF_A_GPU} if ray.cluster_resources().get("GPU") else {"num_cpus": 1}
    remote = ray.remote(max_retries=_MORE_TRIES, **share)(_work)
    progress.start("runs", len(jobs), "runs")
    waiting = [remote.remote(job, Path.cwd()) for job in jobs]
    done = 0
    try:
        while waiting:
            ready, waiting = ray.wait(waiting)
            for said in ray.get(ready):
                for line in said:
                    progress.say(line)
                done += 1
                progress.update(done)
    finally:
        for task in waiting:
            ray.cancel(task)
        progress.finish()


def _work(job: Job[None], folder: Path) -> list[str]:
    """Do a job in a process of the cluster, and give back what it said; relative paths are those of `folder`."""
    os.chdir(folder)
    heard = _Heard()
    job(heard)
    return heard.lines


class _Heard(Silent):
    """Progress that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)
