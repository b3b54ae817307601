"""What is no model, or a damaged one, is refused in a sentence."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from voters import LABELS, write_member, write_voters

from tinylm.committee.files import COMMITTEE
from tinylm.core.errors import InputError
from tinylm.runtime.loading import load
from tinylm.steps.export import export


@pytest.fixture
def committee(tokenizer, tmp_path):
    return write_voters(tmp_path / "committee", [(tokenizer, {})] * 3)


@pytest.fixture
def artefact(committee, tmp_path):
    export(committee, tmp_path / "artefact")
    return tmp_path / "artefact"


def test_one_classifier_is_a_committee_of_one(tokenizer, committee, documents):
    opened = load(committee / "member-2")
    assert (len(opened), opened.labels) == (1, LABELS)
    assert np.array_equal(opened.votes(documents[:9])[0], load(committee).votes(documents[:9])[2])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"members": [], "labels": ["one"], "vote": "probability"}',
        '{"members": ["member-0"], "labels": [], "vote": "probability"}',
        '{"members": ["member-0"], "labels": ["one", "two", "three"], "vote": "loudest"}',
        '{"members": ["member-0"], "labels": ["one", "two", "three"]}',
        '{"members": ["member-0"], "labels": ["one", "two", "three"], "vote": ["probability"]}',
        '{"members": "member-0", "labels": ["one", "two", "three"], "vote": "probability"}',
        '{"members": 3, "labels": ["one", "two", "three"], "vote": "probability"}',
        '{"members": [3], "labels": ["one", "two", "three"], "vote": "probability"}',
        '{"members": ["member-0"], "labels": 3, "vote": "probability"}',
    ],
)
def test_a_broken_committee_is_refused(committee, text):
    (committee / COMMITTEE).write_text(text)
    with pytest.raises(InputError, match=r"committee\.json does not describe a committee; train or copy"):
        load(committee)


def test_members_that_do_not_belong_are_refused(committee):
    stored = json.loads((committee / COMMITTEE).read_text())
    (committee / COMMITTEE).write_text(json.dumps(stored | {"labels": ["three", "two", "one"]}))
    with pytest.raises(InputError, match="member-0 has other labels than its committee"):
        load(committee)
    (committee / COMMITTEE).write_text(json.dumps(stored))
    shutil.rmtree(committee / "member-2")
    with pytest.raises(InputError, match="member-2 is not a model folder"):
        load(committee)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no model at .*nowhere; give the folder that `tinylm train"):
        load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"it has none of artefact\.json, committee\.json and config\.json"):
        load(tmp_path)


def test_a_vocabulary_that_is_missing_or_of_another_model_is_refused(committee, documents):
    from tinylm.tokens.vocabulary import train_tokenizer

    train_tokenizer(documents, 150).save(committee / "member-1")
    with pytest.raises(InputError, match=r"a vocabulary of 1\d\d pieces, but its model knows 100; copy the tokenizer"):
        load(committee)
    (committee / "member-1" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"member-1 has neither tokenizer\.json nor vocab\.txt"):
        load(committee)


# Weights


@pytest.fixture
def weights(tokenizer, tmp_path):
    """A classifier's folder, and how to change its tensors."""
    folder = write_member(tmp_path / "member", tokenizer, 0)
    path = folder / "model.safetensors"

    def change(**tensors):
        stored = {**load_file(path), **{name.replace("__", "."): tensor for name, tensor in tensors.items()}}
        save_file({name: tensor for name, tensor in stored.items() if tensor is not None}, path)

    return folder, change


def test_tensors_must_be_those_of_the_shape(weights):
    folder, change = weights
    change(bert__position=torch.zeros(1))
    with pytest.raises(InputError, match=r"does not fit the SequenceClassifier .* a tensor too many, bert\.position"):
        load(folder)
    change(bert__position=None, classifier__weight=torch.zeros(4, 16))
    with pytest.raises(
        InputError, match=r"classifier\.weight has shape \(4, 16\), but config\.json asks for \(3, 16\)"
    ):
        load(folder)
    change(classifier__weight=None)
    with pytest.raises(InputError, match=r"it lacks classifier\.weight"):
        load(folder)
    change(classifier__weight=torch.zeros(3, 16, dtype=torch.int32))
    with pytest.raises(InputError, match=r"classifier\.weight holds I32 numbers; convert the weights to float32"):
        load(folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precision_are_read(weights, tokenizer, documents, dtype):
    folder, change = weights
    stored = {name: tensor.to(dtype) for name, tensor in load_file(folder / "model.safetensors").items()}
    change(**stored)
    narrow = load(folder).votes(documents[:9])
    change(**{name: tensor.float() for name, tensor in stored.items()})
    assert np.array_equal(narrow, load(folder).votes(documents[:9]))


def test_a_buffer_of_older_checkpoints_may_be_there(weights, documents):
    folder, change = weights
    expected = load(folder).votes(documents[:3])
    change(bert__embeddings__position_ids=torch.arange(32)[None])
    assert np.array_equal(load(folder).votes(documents[:3]), expected)


@pytest.mark.parametrize("content", [b"", b"not weights", b"\xff" * 100])
def test_weights_that_cannot_be_read_are_refused(weights, content):
    folder, _ = weights
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"is not a complete model folder: it has no model\.safetensors"):
        load(folder)


def test_a_model_that_is_not_fine_tuned_is_refused(weights):
    folder, _ = weights
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(stored | {"architectures": ["BertForMaskedLM"]}))
    with pytest.raises(InputError, match=r"holds no classifier: its config\.json names no labels; fine-tune it first"):
        load(folder)


# Artefacts


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "labels": [], "members": 1}'])
def test_a_broken_artefact_is_refused(artefact, text):
    (artefact / "artefact.json").write_text(text)
    with pytest.raises(InputError, match=r"artefact\.json does not describe an artefact; export the model again"):
        load(artefact)


def test_an_artefact_of_another_format_is_refused(artefact):
    stored = json.loads((artefact / "artefact.json").read_text())
    (artefact / "artefact.json").write_text(json.dumps(stored | {"format": 99}))
    with pytest.raises(InputError, match="has format 99, which this tinylm does not know; export the model again"):
        load(artefact)


def test_a_graph_that_is_damaged_or_gone_is_refused(artefact):
    graph = (artefact / "committee.onnx").read_bytes()
    for damaged in (b"", b"not a graph", graph[: len(graph) // 2]):
        (artefact / "committee.onnx").write_bytes(damaged)
        with pytest.raises(InputError, match=r"committee\.onnx cannot be opened .*; export the model again"):
            load(artefact)
    (artefact / "committee.onnx").unlink()
    with pytest.raises(InputError, match=r"is not a complete artefact: it has no committee\.onnx"):
        load(artefact)
