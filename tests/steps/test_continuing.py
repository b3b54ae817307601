"""Going on from a fine-tuned model: labels that stay keep their logits, new ones are learnt, the vote stays."""

import json

import numpy as np
import pytest
import torch
from voters import LABELS, write_member, write_voters

from tinylm.committee.files import read_committee
from tinylm.core.errors import InputError
from tinylm.model.checkpoint import load_classifier
from tinylm.model.config import ModelConfig
from tinylm.model.layout import read_config
from tinylm.steps.finetune import Finetune, finetune
from tinylm.text.splits import Examples, Task
from tinylm.tokens.bigrams import frequent_bigrams
from tinylm.tokens.encoded import EncodedTexts
from tinylm.train.classification import class_logits
from tinylm.train.finetune import shape_of, start_member, vocabulary_size

MORE = ("two", "new", "one")
SHORT = {"steps": 2, "precision": "float32"}


def task_of(documents, labels=MORE):
    examples = Examples(tuple(documents[:30]), np.arange(30) % len(labels))
    return Task("more.csv", labels, examples, examples.take(np.arange(3)), "0")


@pytest.mark.parametrize("bigrams", [0, 5], ids=["no bigrams", "bigrams"])
@pytest.mark.parametrize("marks", [[], ["<h>", "</h>"]], ids=["no marks", "marks"])
def test_labels_that_stay_start_with_their_old_logits(tokenizer, documents, tmp_path, bigrams, marks):
    from dataclasses import replace

    member = write_member(tmp_path / "member", tokenizer, 0, bigrams=bigrams)
    old = load_classifier(member)[0].eval()
    extended = tokenizer.extended(marks) if marks else tokenizer
    shape = replace(shape_of(member), vocab_size=vocabulary_size(shape_of(member), extended))
    texts = EncodedTexts(documents[:40], extended, shape.positions)
    codes = frequent_bigrams(texts, shape.vocab_size, min_count=2, most=50)
    new = start_member(member, shape, task_of(documents), 0, codes).eval()
    with torch.inference_mode():
        before = class_logits(old, EncodedTexts(documents[:40], tokenizer, shape.positions))
        after = class_logits(new, texts)
    torch.testing.assert_close(after[:, 0], before[:, LABELS.index("two")], atol=1e-6, rtol=0)
    torch.testing.assert_close(after[:, 2], before[:, LABELS.index("one")], atol=1e-6, rtol=0)
    assert new.config.bigrams > bigrams
    assert after[:, 1].abs().max() < before.abs().max()


@pytest.fixture
def model(tokenizer, tmp_path):
    members = [(tokenizer, {"bigrams": 5}), (tokenizer, {})]
    return write_voters(tmp_path / "model", members, temperature=0.7)


def test_a_model_goes_on_with_labels_that_it_does_not_have(model, documents, tmp_path, heard):
    task = task_of(documents)
    committee = finetune(task=task, start_from=model, output=tmp_path / "more", progress=heard, **SHORT)
    assert committee.labels == MORE
    assert committee.voting == read_committee(model).voting
    assert [bool(read_config(tmp_path / "more" / f"member-{i}")[0].bigrams) for i in range(2)] == [True, False]
    assert "starting from" in heard.lines[0] and heard.lines[0].endswith(": 2 label(s) kept, 1 new")
    assert "warning: more.csv has no row of these labels, which the model forgets: three" in heard.lines
    record = json.loads((tmp_path / "more" / "run.json").read_text())
    assert record["start_from"] == str(model) and set(record["start_from_fingerprints"]) == {"member-0", "member-1"}
    again = finetune(task=task, start_from=model, output=tmp_path / "more", resume=True, **SHORT)
    np.testing.assert_array_equal(again.predict_proba(documents[:5]), committee.predict_proba(documents[:5]))
    write_member(model / "member-1", model_tokenizer(model), 7)
    with pytest.raises(InputError, match="member-1 of the start_from has changed since"):
        finetune(task=task, start_from=model, output=tmp_path / "more", resume=True, **SHORT)


def model_tokenizer(model):
    from tinylm.tokens.loading import load_tokenizer

    return load_tokenizer(model / "member-1")


def test_what_cannot_go_on_is_refused(model, documents, tmp_path, tokenizer):
    task = task_of(documents)
    with pytest.raises(InputError, match="neither is given; give the folder of a base"):
        finetune(task=task)
    with pytest.raises(InputError, match="both are given"):
        Finetune(model, task="more.csv", start_from=model)
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "artefact.json").write_text("{}")
    with pytest.raises(InputError, match="was exported, and an export is not trained on"):
        finetune(task=task, start_from=tmp_path / "export")
    from tinylm.model.checkpoint import save_model
    from tinylm.model.heads import MaskedLanguageModel

    base = MaskedLanguageModel(ModelConfig(vocab_size=tokenizer.vocab_size, hidden_size=16, heads=2, positions=16))
    (tmp_path / "base").mkdir()
    save_model(tmp_path / "base", base, tokenizer)
    with pytest.raises(InputError, match="is not fine-tuned, so there are no labels to start from"):
        finetune(task=task, start_from=tmp_path / "base")
