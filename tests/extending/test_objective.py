"""An objective added from outside: the norm of [CLS] predicts how many different tokens its passage has."""

import json

import torch

import tinylm
from tinylm.train.objectives.base import Objective, Prepared


class DistinctTokens(Objective):
    """Squared error between the norm of [CLS] and the logarithm of the number of distinct tokens."""

    name, weight = "distinct", 0.1

    def __init__(self, statistics):
        self.statistics = statistics

    def prepare(self, ids, draw):
        return Prepared(torch.tensor([float(len(set(row))) for row in ids.tolist()]).log())

    def term(self, model, hidden, targets):
        return (hidden.cls.float().norm(dim=1) - targets).square().sum()


def test_an_objective_from_outside_is_trained_and_measured(documents, tmp_path):
    plain = {"preset": "bert-1-w128", "members": 1, "steps": 20, "batch_size": 8, "precision": "float32"}
    folders = [
        tinylm.pretrain(documents, output=tmp_path / name, objectives=objectives, **plain).members[0]
        for name, objectives in (("without", []), ("with", [DistinctTokens]))
    ]
    without, terms = ((folder / "metrics.jsonl").read_text() for folder in folders)
    assert '"distinct"' not in without
    (line,) = (json.loads(line) for line in terms.splitlines() if "terms" in line)
    assert list(line["terms"]) == ["bow", "infonce", "distinct"]
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] != weights[1]
