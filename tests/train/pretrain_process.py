"""Pre-trains as a process of its own, to be killed, signalled or run twice at once; takes a file of JSON."""

import json
import sys
from pathlib import Path

import torch

from tinylm.core.progress import Silent
from tinylm.model.config import ModelConfig
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.token_file import TokenFile
from tinylm.train.distributed import join_processes
from tinylm.train.pretrain import pretrain_member
from tinylm.train.settings import PretrainSettings

if __name__ == "__main__":
    torch.set_num_threads(1)
    job = json.loads(Path(sys.argv[1]).read_text())
    processes = join_processes()
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
    if processes.size > 1:
        torch.distributed.destroy_process_group()
