"""Folders pass to and from `transformers` with the same numbers, and nothing else is let in."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
)

from tinylm.core.errors import InputError
from tinylm.model.checkpoint import load_classifier, load_masked_language_model, save_model
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd
from tinylm.model.heads import MaskedLanguageModel, SequenceClassifier
from tinylm.model.layout import read_config
from tinylm.tokens.encoded import EncodedTexts

LABELS = ("world", "sport", 'a "quoted" läbel', "business")
IGNORED = -100
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def tied(shape, tokenizer):
    """Makes shapes that fit the vocabulary."""
    return lambda **changes: shape(vocab_size=tokenizer.vocab_size, **changes)


@pytest.fixture(scope="module")
def batch(documents, tokenizer):
    """Padded ids, their mask, some read positions (fewer in the second row) and what stood there."""
    texts = EncodedTexts(documents[:5], tokenizer, 48)
    ids = torch.from_numpy(texts.fetch(range(5)))
    mask = torch.arange(ids.shape[1]) < torch.from_numpy(texts.lengths)[:, None]
    assert not mask.all()
    reads = torch.tensor([[1, 2], [1, 0], [2, 3], [1, 3], [2, 4]])
    targets = ids.gather(1, reads)
    targets[1, 1] = IGNORED
    inputs = ids.clone()
    inputs[:, 1] = tokenizer.mask_id
    return inputs, mask, reads, targets


def everywhere(batch):
    """The targets as `transformers` takes them: a label for every token."""
    ids, _, reads, targets = batch
    labels = torch.full_like(ids, IGNORED)
    for row, position, target in zip(range(len(ids)).__iter__(), reads.tolist(), targets.tolist(), strict=True):
        for at, token in zip(position, target, strict=True):
            if token != IGNORED:
                labels[row, at] = token
    return labels


def hugging_face_config(layers=2, **changes):
    return BertConfig(
        vocab_size=90,
        hidden_size=24,
        num_hidden_layers=layers,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=48,
        **changes,
    )


def saved_elsewhere(kind, tokenizer, scramble, folder, **changes):
    """A model made and saved by `transformers`, its output bias included in what is scrambled."""
    config = hugging_face_config(**changes)
    config.vocab_size = tokenizer.vocab_size
    model = scramble(kind(config), seed=3).eval()
    model.tie_weights()
    model.save_pretrained(folder)
    return model


@torch.no_grad()
def assert_same_language_model(ours, theirs, batch):
    ours.eval(), theirs.eval()
    ids, mask, reads, targets = batch
    output = theirs(ids, mask.long(), labels=everywhere(batch), output_hidden_states=True)
    loss = functional.cross_entropy(ours(ids, mask, reads).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    torch.testing.assert_close(loss, output.loss, **CLOSE)
    torch.testing.assert_close(ours.encoder(ids, mask)[mask], output.hidden_states[-1][mask], **CLOSE)


@torch.no_grad()
def assert_same_classifier(ours, theirs, batch):
    ids, mask = batch[:2]
    torch.testing.assert_close(ours.eval()(ids, mask), theirs.eval()(ids, mask.long()).logits, **CLOSE)


def assert_whole(info):
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


@pytest.mark.parametrize("layers", [1, 3])
def test_transformers_opens_our_language_model(layers, tied, tokenizer, scramble, batch, tmp_path):
    ours = scramble(MaskedLanguageModel(tied(layers=layers)))
    save_model(tmp_path, ours, tokenizer)
    theirs, info = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert_whole(info)
    assert type(theirs) is BertForMaskedLM
    assert_same_language_model(ours, theirs, batch)


@pytest.mark.parametrize("layers", [1, 3])
def test_transformers_opens_our_classifier(layers, tied, tokenizer, scramble, batch, tmp_path):
    ours = scramble(SequenceClassifier(tied(layers=layers), len(LABELS)))
    save_model(tmp_path, ours, tokenizer, LABELS)
    theirs, info = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert_whole(info)
    assert type(theirs) is BertForSequenceClassification
    assert theirs.config.id2label == dict(enumerate(LABELS))
    assert theirs.config.label2id == {label: i for i, label in enumerate(LABELS)}
    assert_same_classifier(ours, theirs, batch)


@pytest.mark.parametrize("layers", [1, 3])
def test_we_open_a_language_model_of_transformers(layers, tokenizer, scramble, batch, tmp_path):
    theirs = saved_elsewhere(BertForMaskedLM, tokenizer, scramble, tmp_path, layers=layers)
    assert_same_language_model(load_masked_language_model(tmp_path), theirs, batch)


def test_we_open_a_classifier_of_transformers(tokenizer, scramble, batch, tmp_path):
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    theirs = saved_elsewhere(BertForSequenceClassification, tokenizer, scramble, tmp_path, **names)
    ours, labels = load_classifier(tmp_path)
    assert labels == LABELS
    assert_same_classifier(ours, theirs, batch)


@pytest.mark.parametrize("count", [2, 3])
def test_we_open_a_classifier_without_names_of_its_labels(count, tokenizer, scramble, batch, tmp_path):
    theirs = saved_elsewhere(BertForSequenceClassification, tokenizer, scramble, tmp_path, num_labels=count)
    ours, labels = load_classifier(tmp_path)
    assert labels == tuple(f"LABEL_{i}" for i in range(count))
    assert_same_classifier(ours, theirs, batch)


def test_we_open_a_pre_training_model_of_transformers(tokenizer, scramble, batch, tmp_path):
    theirs = saved_elsewhere(BertForPreTraining, tokenizer, scramble, tmp_path)
    masked = BertForMaskedLM(theirs.config)
    masked.load_state_dict({k: v for k, v in theirs.state_dict().items() if k in masked.state_dict()})
    assert_same_language_model(load_masked_language_model(tmp_path), masked, batch)


def rewrite(folder, change):
    """Apply a change to the tensors of a folder."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / "model.safetensors")


@pytest.fixture
def folder(tied, tokenizer, scramble, tmp_path):
    """A good masked language model."""
    save_model(tmp_path, scramble(MaskedLanguageModel(tied(layers=2))), tokenizer)
    return tmp_path


def assert_unchanged(folder, expected):
    actual = load_masked_language_model(folder).state_dict()
    assert all(torch.equal(actual[name], tensor) for name, tensor in expected.items())


def test_names_of_tensorflow(folder):
    expected = load_masked_language_model(folder).state_dict()

    def rename(tensors):
        for name in [name for name in tensors if "LayerNorm" in name]:
            new = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            tensors[new] = tensors.pop(name)
        assert any(name.endswith("gamma") for name in tensors)

    rewrite(folder, rename)
    assert_unchanged(folder, expected)


def test_what_the_originals_hold_besides(folder):
    expected = load_masked_language_model(folder).state_dict()

    def add(tensors):
        tensors["bert.embeddings.position_ids"] = torch.arange(48)[None]
        tensors["bert.pooler.dense.weight"] = torch.zeros(24, 24)
        tensors["bert.pooler.dense.bias"] = torch.zeros(24)
        tensors["cls.seq_relationship.weight"] = torch.zeros(2, 24)
        tensors["cls.seq_relationship.bias"] = torch.zeros(2)
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]

    rewrite(folder, add)
    assert_unchanged(folder, expected)


@pytest.mark.parametrize(
    ("copy", "original"),
    [
        ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ],
)
def test_an_untied_decoder_is_refused(folder, copy, original):
    rewrite(folder, lambda tensors: tensors.update({copy: tensors[original] + 1}))
    with pytest.raises(InputError, match=rf"{copy} differs from {original}; tinylm ties the two"):
        load_masked_language_model(folder)


KEY = "bert.encoder.layer.1.attention.self.key.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop(KEY), f"it lacks {KEY}"),
        (lambda tensors: tensors.update(stranger=torch.zeros(1)), "it has a tensor too many, stranger"),
        (
            lambda tensors: tensors.update({KEY: torch.zeros(24, 23)}),
            rf"{KEY} has shape \(24, 23\), but config.json asks for \(24, 24\)",
        ),
        (lambda tensors: tensors.pop("cls.predictions.bias"), r"it lacks cls\.predictions\.bias"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(InputError, match=message) as raised:
        load_masked_language_model(folder)
    assert str(folder) in str(raised.value)


def test_a_language_model_is_no_classifier(folder):
    with pytest.raises(InputError, match=r"holds no classifier.*fine-tune it first"):
        load_classifier(folder)


def test_a_classifier_is_no_language_model(tied, tokenizer, tmp_path, scramble):
    save_model(tmp_path, scramble(SequenceClassifier(tied(), 4)), tokenizer, LABELS)
    with pytest.raises(InputError, match=r"it lacks cls\.predictions"):
        load_masked_language_model(tmp_path)


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_truncated_weights_are_refused(folder, size):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        load_masked_language_model(folder)


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"not a complete model folder: it has no model\.safetensors"):
        load_masked_language_model(folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"is not a model folder: it has no config\.json"):
            read_config(folder)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '"bert"', "null", '{"model_type": "gpt2"}', '{"model_type": "bert"}', "\udcff"],
)
def test_a_config_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="does not describe a BERT that tinylm can open"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"vocab_size": "many"}, "does not describe a BERT"),
        ({"num_attention_heads": 0}, "heads is 0"),
        ({"num_attention_heads": 5}, "cannot be shared by 5 heads"),
        ({"front_end": {"type": "lstm"}}, "front_end is 'lstm'"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(folder, changes, message):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=message):
        load_masked_language_model(folder)


@pytest.mark.parametrize(
    "front_end",
    [Conv2dFrontEnd(kernels=(3, 2), channels=4), DepthwiseFrontEnd(kernel=5)],
    ids=["conv2d", "depthwise"],
)
def test_front_ends_come_back_here_and_are_refused_there(front_end, tied, tokenizer, scramble, batch, tmp_path):
    config = tied(front_end=front_end)
    model, classifier = scramble(MaskedLanguageModel(config)), scramble(SequenceClassifier(config, 4))
    for folder, saved, labels in (("model", model, ()), ("classifier", classifier, LABELS)):
        (tmp_path / folder).mkdir()
        save_model(tmp_path / folder, saved, tokenizer, labels)
    assert read_config(tmp_path / "model") == (config, ())
    for opened, saved in (
        (load_masked_language_model(tmp_path / "model"), model),
        (load_classifier(tmp_path / "classifier")[0], classifier),
    ):
        stored = saved.state_dict()
        assert opened.state_dict().keys() == stored.keys()
        assert all(torch.equal(tensor, stored[name]) for name, tensor in opened.state_dict().items())
    with pytest.raises(ValueError, match="tinylm"):
        AutoModelForMaskedLM.from_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="tinylm"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "classifier")


def test_half_precision_weights_are_opened_in_float32(folder):
    rewrite(folder, lambda tensors: tensors.update({k: v.bfloat16() for k, v in tensors.items()}))
    model = load_masked_language_model(folder)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.head.bias.abs().max() > 0


def test_the_tokenizer_of_a_folder_gives_the_same_ids_there(folder, documents, tokenizer):
    theirs = AutoTokenizer.from_pretrained(folder)
    texts = [*documents[:20], "", "ABCD, efgh! zzz ünknown", "[MASK] abc", " ".join(documents[:5])]
    ours = EncodedTexts(texts, tokenizer, 20)
    expected = theirs(texts, truncation=True, max_length=20, padding=True)
    assert ours.fetch(range(len(texts))).tolist() == expected["input_ids"]
    assert ours.lengths.tolist() == [sum(row) for row in expected["attention_mask"]]
    assert (theirs.pad_token_id, theirs.mask_token_id) == (tokenizer.pad_id, tokenizer.mask_id)
    assert theirs.mask_token == "[MASK]"
