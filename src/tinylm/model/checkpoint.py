"""Models on disk, laid out as Hugging Face lays out a BERT: `config.json`, `model.safetensors`, `tokenizer.json`.

`transformers` opens our folders and we open its BERTs, with the same numbers. Loading is strict: a tensor that is
missing, left over or of another shape is an error. Models with a convolutional front-end have no counterpart there;
their `model_type` is `tinylm`, so that `transformers` refuses them instead of dropping the front-end.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tinylm.errors import InputError, TinyLMError
from tinylm.model.config import Conv2dFrontEnd, DepthwiseFrontEnd, ModelConfig
from tinylm.model.heads import MaskedLanguageModel, SequenceClassifier
from tinylm.storage import write_json
from tinylm.text.tokenizer import Tokenizer

CONFIG, WEIGHTS = "config.json", "model.safetensors"

_TO_HUGGING_FACE = (
    (r"^encoder\.embeddings\.(word|position|token_type)$", r"bert.embeddings.\1_embeddings.weight"),
    (r"^encoder\.embeddings\.norm\.", r"bert.embeddings.LayerNorm."),
    (
        r"^encoder\.layers\.(\d+)\.attention\.(query|key|value)\.",
        r"bert.encoder.layer.\1.attention.self.\2.",
    ),
    (r"^encoder\.layers\.(\d+)\.attention\.output\.", r"bert.encoder.layer.\1.attention.output.dense."),
    (r"^encoder\.layers\.(\d+)\.attention\.norm\.", r"bert.encoder.layer.\1.attention.output.LayerNorm."),
    (r"^encoder\.layers\.(\d+)\.(intermediate|output)\.", r"bert.encoder.layer.\1.\2.dense."),
    (r"^encoder\.layers\.(\d+)\.norm\.", r"bert.encoder.layer.\1.output.LayerNorm."),
    (r"^encoder\.front_end\.", r"bert.front_end."),
    (r"^head\.dense\.", r"cls.predictions.transform.dense."),
    (r"^head\.norm\.", r"cls.predictions.transform.LayerNorm."),
    (r"^head\.bias$", r"cls.predictions.bias"),
    (r"^pooler\.", r"bert.pooler.dense."),
)

# What a BERT folder may hold beside the model that is asked for: buffers, copies of tied weights, other heads.
_NOT_OURS = {
    MaskedLanguageModel: re.compile(
        r"bert\.embeddings\.position_ids|bert\.pooler\.dense\.\w+|cls\.seq_relationship\.\w+"
    ),
    SequenceClassifier: re.compile(r"bert\.embeddings\.position_ids"),
}


def hugging_face_name(name: str) -> str:
    """The name that `transformers` gives to one of our tensors."""
    for pattern, replacement in _TO_HUGGING_FACE:
        name, count = re.subn(pattern, replacement, name)
        if count:
            break
    return name


def save_model(
    folder: Path,
    model: MaskedLanguageModel | SequenceClassifier,
    tokenizer: Tokenizer,
    labels: tuple[str, ...] = (),
) -> None:
    """Write a model folder. The caller makes it whole or absent (`storage.new_folder`).

    Args:
        folder: an existing folder.
        model: the model.
        tokenizer: its vocabulary.
        labels: names of the classes, for a classifier.
    """
    tensors = {hugging_face_name(name): tensor.contiguous() for name, tensor in model.state_dict().items()}
    try:
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    except SafetensorError as error:
        raise TinyLMError(f"cannot write {folder / WEIGHTS} ({error}); free some space and resume") from error
    write_json(folder / CONFIG, _to_json(model, tokenizer, labels))
    tokenizer.save(folder)


def load_masked_language_model(folder: Path) -> MaskedLanguageModel:
    """Open a folder as a masked language model.

    Raises:
        InputError: not a model folder, or not one of a masked language model.
    """
    model = MaskedLanguageModel(read_config(folder)[0])
    _fill(model, folder)
    return model


def load_classifier(folder: Path) -> tuple[SequenceClassifier, tuple[str, ...]]:
    """Open a folder as a classifier, with the names of its classes.

    Raises:
        InputError: not a model folder, or not one of a classifier.
    """
    config, labels = read_config(folder)
    if not labels:
        raise InputError(f"{folder} holds no classifier: its {CONFIG} names no labels; fine-tune it first")
    model = SequenceClassifier(config, len(labels))
    _fill(model, folder)
    return model, labels


def read_config(folder: Path) -> tuple[ModelConfig, tuple[str, ...]]:
    """The shape and the class names that a model folder declares.

    Raises:
        InputError: there is no readable `config.json`, or it is not one of a BERT.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder} is not a model folder: it has no {CONFIG}")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return _from_json(stored)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} does not describe a BERT that tinylm can open: {error}") from error


def _to_json(model: nn.Module, tokenizer: Tokenizer, labels: tuple[str, ...]) -> dict[str, Any]:
    config: ModelConfig = model.config  # type: ignore[assignment]
    kind = "BertForSequenceClassification" if isinstance(model, SequenceClassifier) else "BertForMaskedLM"
    stored: dict[str, Any] = {
        "architectures": [kind],
        "model_type": "bert",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.positions,
        "type_vocab_size": config.token_types,
        "layer_norm_eps": config.norm_epsilon,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.02,
        "pad_token_id": tokenizer.pad_id,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }
    if labels:
        stored["id2label"] = {str(i): label for i, label in enumerate(labels)}
        stored["label2id"] = {label: i for i, label in enumerate(labels)}
        stored["problem_type"] = "single_label_classification"
    if config.front_end is not None:
        stored["model_type"] = "tinylm"
        stored["front_end"] = {
            "type": type(config.front_end).__name__.removesuffix("FrontEnd").lower(),
            **asdict(config.front_end),
        }
    return stored


def _from_json(stored: Mapping[str, Any]) -> tuple[ModelConfig, tuple[str, ...]]:
    if stored["model_type"] not in ("bert", "tinylm"):
        raise ValueError(f"its model_type is {stored['model_type']!r}")
    for key, supported in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if stored.get(key, supported) != supported:
            raise ValueError(f"its {key} is {stored[key]!r}, and only {supported!r} is supported")
    front_end = dict(stored.get("front_end") or {})
    match front_end.pop("type", None):
        case None:
            shape: Conv2dFrontEnd | DepthwiseFrontEnd | None = None
        case "conv2d":
            shape = Conv2dFrontEnd(kernels=tuple(front_end["kernels"]), channels=front_end["channels"])
        case "depthwise":
            shape = DepthwiseFrontEnd(**front_end)
        case other:
            raise ValueError(f"its front_end is {other!r}")
    config = ModelConfig(
        vocab_size=stored["vocab_size"],
        hidden_size=stored["hidden_size"],
        layers=stored["num_hidden_layers"],
        heads=stored["num_attention_heads"],
        intermediate_size=stored["intermediate_size"],
        positions=stored["max_position_embeddings"],
        token_types=stored.get("type_vocab_size", 2),
        norm_epsilon=stored.get("layer_norm_eps", 1e-12),
        front_end=shape,
    )
    names = {int(index): label for index, label in (stored.get("id2label") or {}).items()}
    if "BertForSequenceClassification" not in (stored.get("architectures") or []):
        return config, ()
    # `transformers` writes no names where a classifier has its default of two labels.
    names = names or {0: "LABEL_0", 1: "LABEL_1"}
    return config, tuple(names[i] for i in range(len(names)))


def _fill(model: MaskedLanguageModel | SequenceClassifier, folder: Path) -> None:
    stored = _read_weights(folder)
    ours = {hugging_face_name(name): tensor for name, tensor in model.state_dict().items()}
    ignored = _NOT_OURS[type(model)]
    left = {name for name in stored if name not in ours and not ignored.fullmatch(name)}
    if isinstance(model, MaskedLanguageModel):
        left -= _tied_copies(stored, folder)
    missing = sorted(ours.keys() - stored.keys())
    if missing or left:
        what = f"lacks {missing[0]}" if missing else f"has a tensor too many, {min(left)}"
        raise InputError(
            f"{folder / WEIGHTS} does not fit the {type(model).__name__} that its {CONFIG} describes: it {what}"
        )
    with torch.no_grad():
        for name, tensor in ours.items():
            if stored[name].shape != tensor.shape:
                raise InputError(
                    f"{folder / WEIGHTS}: {name} has shape {tuple(stored[name].shape)}, "
                    f"but {CONFIG} asks for {tuple(tensor.shape)}"
                )
            tensor.copy_(stored[name])


def _read_weights(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        raise InputError(f"{folder} is not a complete model folder: it has no {WEIGHTS}")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    # Checkpoints converted from TensorFlow call the weight and bias of a layer norm gamma and beta.
    return {re.sub(r"LayerNorm\.(gamma|beta)$", _norm_name, name): tensor for name, tensor in tensors.items()}


def _norm_name(found: re.Match[str]) -> str:
    return "LayerNorm.weight" if found[1] == "gamma" else "LayerNorm.bias"


def _tied_copies(stored: Mapping[str, Tensor], folder: Path) -> set[str]:
    copies = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    present = {copy for copy, original in copies.items() if copy in stored and original in stored}
    for copy in present:
        if not torch.equal(stored[copy], stored[copies[copy]]):
            raise InputError(
                f"{folder / WEIGHTS}: {copy} differs from {copies[copy]}; "
                "tinylm ties the two, so it cannot open this model"
            )
    return present
