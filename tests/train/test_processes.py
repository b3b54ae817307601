"""Real processes: killed, interrupted, and two that train one model together."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

from tinylm.train.state import latest

pytestmark = pytest.mark.slow

SHAPE = {"hidden_size": 32, "heads": 2, "intermediate_size": 64, "positions": 16}
SETTINGS = {"steps": 300, "batch_size": 16, "precision": "float32", "save_every": "0.05s"}


def start(arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *arguments], stderr=subprocess.PIPE, text=True, env=environment)


def finish(process, limit=120):
    try:
        return process.communicate(timeout=limit)[1]
    finally:
        process.kill()


def checkpoint_after(process, folder, before):
    """Wait until a checkpoint is there that was not there before; None where the process ends first."""
    until = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < until, "no checkpoint in a minute"
        found = latest(folder)
        if found is not None and found != before:
            return found
        time.sleep(0.002)
    return None


def assert_loadable(checkpoint):
    """Whole, with as many numbers as its own `state.json` says."""
    stored = json.loads((checkpoint / "state.json").read_text())
    assert checkpoint.name == f"step-{stored['step']:09d}"
    model = load_file(checkpoint / "model.safetensors")
    optimiser = load_file(checkpoint / "optimiser.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in model.values())
    # Three tensors for each weight: the step and two moments.
    assert len(optimiser) == 3 * len(model)
    assert {int(count) for name, count in optimiser.items() if name.endswith("/step")} == {stored["step"]}


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(job, tmp_path, metrics):
    assert finish(start(job("whole", SHAPE, {"whole": SETTINGS}))) == ""
    chance = random.Random(0)
    partial = tmp_path / "killed.partial"
    arguments = job("killed", SHAPE, {"killed": SETTINGS})
    kills, resumed_from = 0, []
    for _ in range(3):
        process = start(arguments)
        kept = latest(partial)
        for _ in range(chance.randint(1, 2)):
            found = checkpoint_after(process, partial, kept)
            kept = found or kept
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        finish(process)
        kills += process.returncode == -signal.SIGKILL
        if (tmp_path / "killed").exists():
            break
        resumed_from.append(latest(partial))
        assert_loadable(resumed_from[-1])
    assert kills >= 2
    assert resumed_from == sorted(set(resumed_from))  # type: ignore[type-var]
    assert finish(start(arguments)) == ""
    whole, killed = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed"))
    assert killed == whole
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "whole")
    assert not partial.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_so(job, tmp_path, number):
    process = start(job("signalled", SHAPE, {"model": SETTINGS | {"steps": 10**6}}))
    before = checkpoint_after(process, tmp_path / "model.partial", None)
    process.send_signal(number)
    said = finish(process)
    kept = latest(tmp_path / "model.partial")
    assert process.returncode == 1
    assert "InterruptedByUserError: interrupted after update" in said
    assert f"{int(kept.name.removeprefix('step-')):,}; everything so far is saved in" in said
    assert kept >= before
    assert_loadable(kept)
    assert not (tmp_path / "model").exists()


def free_port():
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def test_two_processes_make_the_updates_of_one(job, tmp_path, metrics):
    """The same losses, to rounding, also where the two have different numbers of hidden tokens."""
    settings = {"steps": 60, "batch_size": 15, "precision": "float32", "learning_rate": 1e-3}
    # With contrast, each of two processes would choose among fewer rows than one does.
    masked = settings | {"mlm_weight": 1.0, "context_bow_weight": 0.0, "infonce_weight": 0.0}
    runs = {
        "packed": masked | {"sequences": "packed"},
        "first": masked | {"sequences": "truncated"},
        # Three rows here and two there: both must make as many parts.
        "parts": masked | {"sequences": "truncated", "batch_size": 5, "gradient_accumulation_steps": 3},
        # Four pairs here and three there; with hidden tokens one process takes dense gradients too.
        "pairs": settings
        | {"sequences": "pairs", "mlm_weight": 0.5, "infonce_weight": 0.0, "gradient_accumulation_steps": 4},
    }
    assert finish(start(job("one", SHAPE, {f"one-{name}": run for name, run in runs.items()}))) == ""
    arguments = job("two", SHAPE, {f"two-{name}": run for name, run in runs.items()})
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    process = start([*torchrun, *arguments])
    said = finish(process)
    assert process.returncode == 0, said
    for name in runs:
        one, two = (
            [line.get("minimised_loss") or line["validation"]["loss"] for line in metrics(tmp_path / f"{count}-{name}")]
            for count in ("one", "two")
        )
        assert len(one) == 9 + 3
        assert two == pytest.approx(one, abs=1e-4), name
        assert one[-1] < one[0] - 0.1


def test_trainer_with_a_budget_keeps_two_processes_in_step_where_validation_is_slow_on_one(job, tmp_path):
    """Learning rate and end of training follow the clock of rank 0 alone: else weights drift, or one process waits."""
    settings = {"budget": "6s", "batch_size": 16, "precision": "float32"}
    arguments = job("slow", SHAPE, {"model": settings}, slow_rank=1)
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    process = start([*torchrun, *arguments])
    said = finish(process)
    assert process.returncode == 0, said
    one, two = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert len(one["rates"]) > 1
    assert one == two
