"""Several processes under `torchrun`: who we are among them, and how they share gradients and the clock."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class DistributedContext:
    """The processes that train one model together.

    Attributes:
        rank: which one this is, from 0.
        size: how many there are.
        device: where this one computes.
    """

    rank: int
    size: int
    device: str

    @property
    def is_main(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, averaging gradients over processes where there are several."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def broadcast(self, value: float) -> float:
        """The value that rank 0 has."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(shared, src=0)
        return float(shared)

    def sum(self, value: float) -> float:
        """The sum over processes."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(shared)
        return float(shared)

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """Run a block on rank 0, then on the others: what it leaves on disk is there for them."""
        if self.size > 1 and not self.is_main:
            torch.distributed.barrier()
        yield
        if self.size > 1 and self.is_main:
            torch.distributed.barrier()


def join_processes() -> DistributedContext:
    """Join the processes that `torchrun` started, or be alone.

    Processes on CPUs talk through gloo, those on GPUs through nccl.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = "cpu"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        device = "cuda"
    if size > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    return DistributedContext(rank, size, device)
