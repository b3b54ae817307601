"""Tiny training runs: one thread, one process, a listener that can interrupt at an exact update."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from tinylm.model.config import ModelConfig
from tinylm.train.distributed import DistributedContext


@pytest.fixture
def alone() -> DistributedContext:
    return DistributedContext(0, 1, "cpu")


@pytest.fixture(scope="session")
def shape(tokenizer):
    """Makes tiny shapes that fit the vocabulary."""

    def make(**changes) -> ModelConfig:
        tiny = {"hidden_size": 16, "heads": 2, "intermediate_size": 32, "positions": 16}
        return ModelConfig(**({"vocab_size": tokenizer.vocab_size} | tiny | changes))

    return make


@pytest.fixture(scope="session")
def loud():
    """Fills the weights of a model with numbers so large that every token matters."""

    def fill(model: torch.nn.Module) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                is_scale = "norm" in name and name.endswith("weight")
                weight.normal_(float(is_scale), 0.3, generator=generator)
        return model

    return fill


class Listener:
    """Keeps what is said; sends this process a signal when some update is done."""

    def __init__(self, interrupt_at: int | None = None):
        self.said: list[str] = []
        self._interrupt_at = interrupt_at

    def say(self, message):
        self.said.append(message)

    def start(self, what, total, unit):
        pass

    def update(self, done, facts=""):
        if done == self._interrupt_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def finish(self):
        pass


@pytest.fixture
def listener():
    """Makes listeners."""
    return Listener


def timeless(folder: Path) -> list[dict]:
    """The lines of metrics without what a clock says."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "tokens_per_second")} for line in lines]


@pytest.fixture
def metrics():
    """Reads metrics, the timing left out."""
    return timeless


@pytest.fixture
def job(tokens, tokenizer, tmp_path):
    """Writes what `pretrain_process.py` is to do: runs with settings, each into a folder; returns its arguments."""

    def write(name: str, shape: dict, runs: dict[str, dict], **more) -> list[str]:
        vocabulary = tmp_path / "vocabulary"
        vocabulary.mkdir(exist_ok=True)
        tokenizer.save(vocabulary)
        path = tmp_path / f"{name}.json"
        described = {
            "tokens": str(Path(tokens.ids.filename).parent),
            "tokenizer": str(vocabulary),
            "shape": {"vocab_size": tokenizer.vocab_size, **shape},
            **more,
            "runs": [{"folder": str(tmp_path / folder), "settings": settings} for folder, settings in runs.items()],
        }
        path.write_text(json.dumps(described))
        return [str(Path(__file__).parents[1] / "support" / "pretrain_process.py"), str(path)]

    return write
