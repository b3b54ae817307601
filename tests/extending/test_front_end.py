"""A front-end from outside: a second table of token embeddings, added to the first after its norm."""

from dataclasses import dataclass

from voters import torch_votes, write_voters

from tinylm import export, load
from tinylm.model.front_ends.base import FoldedFrontEnd, FrontEnd
from tinylm.model.operations import Array


@dataclass(frozen=True)
class SecondTable(FrontEnd):
    kind = "second-table"

    def modules(self, config):
        from torch import nn

        return {"table": nn.Embedding(config.vocab_size, config.hidden_size)}

    def forward(self, parts, x, ids, mask):
        return x + parts["table"](ids)

    def fold(self, tensors, config):
        return FoldedTable(tensors.take("table.weight", config.vocab_size, config.hidden_size))


@dataclass(frozen=True)
class FoldedTable(FoldedFrontEnd):
    table: Array

    def apply(self, operations, x, batch):
        return operations.add(x, operations.token_embeddings(self.table, batch.ids))


def test_front_end_from_outside_is_opened_folded_and_exported(tokenizer, documents, tmp_path):
    write_voters(tmp_path / "model", [(tokenizer, {"front_end": SecondTable()})])
    export(tmp_path / "model", tmp_path / "artefact")
    for folder in ("model", "artefact"):
        assert abs(load(tmp_path / folder).votes(documents) - torch_votes(tmp_path / "model", documents)).max() < 1e-5
