"""Pre-trains as a process of its own, to be killed, signalled or run twice at once; takes a file of JSON.

With `slow_rank`, the validation of that process takes longer than that of the others. Each process then writes
`rank-N.json` beside the model: the learning rate of each update, and the sum of the weights at the end.
"""

import json
import sys
import time
from pathlib import Path

import torch

from tinylm.core.progress import Silent
from tinylm.model.config import ModelConfig
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.token_file import TokenFile
from tinylm.train.distributed import join_processes
from tinylm.train.optimiser import Optimiser
from tinylm.train.pretrain import pretrain_member
from tinylm.train.pretraining import Pretraining
from tinylm.train.settings import PretrainSettings


def record_updates(*, slow: bool) -> tuple[list[float], list[Pretraining]]:
    """Keep the learning rates and what is trained, and slow validation down."""
    rates: list[float] = []
    trained: list[Pretraining] = []
    update, validate = Optimiser.update, Pretraining.validate

    def recording(self, learning_rate):
        rates.append(learning_rate)
        return update(self, learning_rate)

    def slowly(self):
        trained.append(self)
        time.sleep(0.4 * slow)
        return validate(self)

    Optimiser.update, Pretraining.validate = recording, slowly
    return rates, trained


if __name__ == "__main__":
    torch.set_num_threads(1)
    job = json.loads(Path(sys.argv[1]).read_text())
    processes = join_processes()
    slow_rank = job.get("slow_rank")
    rates, trained = ([], []) if slow_rank is None else record_updates(slow=processes.rank == slow_rank)
    for run in job["runs"]:
        pretrain_member(
            Path(run["folder"]),
            0,
            ModelConfig(**job["shape"]),
            TokenFile.open(Path(job["tokens"])),
            load_tokenizer(job["tokenizer"]),
            PretrainSettings(**run["settings"]),
            processes,
            Silent(),
        )
        if trained:
            weights = sum(parameter.double().sum().item() for parameter in trained[-1].model.parameters())
            report = Path(run["folder"]).parent / f"rank-{processes.rank}.json"
            report.write_text(json.dumps({"rates": rates, "weights": weights}))
    if processes.size > 1:
        torch.distributed.destroy_process_group()
