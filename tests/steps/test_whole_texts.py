"""Members that are fine-tuned to read long texts at once: their positions, and one answer by every path."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from voters import LABELS, torch_votes, write_member, write_voters

import tinylm
from tinylm.committee.files import read_committee
from tinylm.model.checkpoint import load_classifier
from tinylm.model.layout import read_config
from tinylm.steps.committees import finetune_committee
from tinylm.steps.export import export
from tinylm.steps.finetune import finetune
from tinylm.text.splits import Examples, Task
from tinylm.tokens.windows import WHOLE, most_windows, positions_for
from tinylm.train.finetune import shape_of, start_member
from tinylm.train.settings import FinetuneSettings


@pytest.fixture(scope="module")
def task(documents):
    texts = tuple(" ".join(documents[number : number + 1 + number % 9]) for number in range(60))
    examples = Examples(texts, np.arange(60) % 3)
    return Task("long", LABELS, examples, examples.take(np.arange(3)), "0")


@pytest.fixture(scope="module")
def whole(tokenizer, task, tmp_path_factory):
    model = write_voters(tmp_path_factory.mktemp("short"), [(tokenizer, {"bigrams": 5}), (tokenizer, {"layers": 2})])
    folder = tmp_path_factory.mktemp("whole") / "model"
    finetune(task=task, start_from=model, output=folder, long="all", steps=2, precision="float32", progress=None)
    return folder


def test_positions_are_repeated_after_that_of_cls(tokenizer, task, tmp_path):
    member = write_member(tmp_path / "member", tokenizer, 0)
    shape = replace(shape_of(member), positions=positions_for("all", 32))
    table = start_member(member, shape, task, 0, np.empty(0, np.int64)).encoder.embeddings.position.detach()
    before = load_classifier(member)[0].encoder.embeddings.position.detach()
    assert table.shape == (WHOLE, before.shape[1])
    torch.testing.assert_close(table[:32], before, atol=0, rtol=0)
    torch.testing.assert_close(table[1 + 31 * 5 : 1 + 31 * 6], before[1:], atol=0, rtol=0)


@pytest.mark.parametrize("pretrained", [32, 2048])
def test_a_model_that_reads_more_keeps_its_positions(pretrained):
    assert positions_for("all", pretrained) == max(1024, pretrained)
    assert positions_for("windows", pretrained) == positions_for("truncate", pretrained) == pretrained


def test_a_long_text_has_one_answer_by_every_path(whole, task, documents, tmp_path):
    text = " ".join(documents[:20])
    stored = tinylm.load(whole)
    assert read_committee(whole).long == "all" and read_config(whole / "member-0")[0].positions == WHOLE
    [found] = stored.predictions([text])
    assert 32 < found.tokens < WHOLE and not found.truncated
    texts = [text, *documents[:3], ""]
    expected = torch_votes(whole, texts)
    np.testing.assert_allclose(stored.votes(texts), expected, atol=1e-5)
    export(whole, tmp_path / "artefact")
    np.testing.assert_allclose(tinylm.load(tmp_path / "artefact").votes(texts), expected, atol=1e-4)


def test_what_is_longer_still_is_read_in_windows(whole, documents):
    text = " ".join(documents * 2)
    [found] = tinylm.load(whole).predictions([text[:60_000]])
    assert found.tokens > WHOLE and most_windows("all") * WHOLE == most_windows("windows") * 128


def test_a_committee_says_nothing_of_texts_that_it_reads_at_once(tokenizer, task, tmp_path, heard):
    member = write_member(tmp_path / "member", tokenizer, 0)
    settings = FinetuneSettings(steps=1, search=False, precision="float32", long="all")
    finetune_committee(tmp_path / "model", [member], task, settings, "probability", heard)
    assert not any("are longer than" in line for line in heard.lines)
    finetune_committee(tmp_path / "other", [member], task, replace(settings, long="truncate"), "probability", heard)
    assert any("fine-tuning with --long windows reads all of a text" in line for line in heard.lines)
