"""Models on disk, laid out as Hugging Face lays out a BERT: `config.json`, `model.safetensors`, `tokenizer.json`.

`transformers` opens our folders and we open its BERTs, with the same numbers. Loading is strict: a tensor that is
missing, left over or of another shape is an error.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tinylm.core.errors import InputError, TinyLMError
from tinylm.core.files import write_json
from tinylm.core.problems import ONE_LABEL
from tinylm.model.heads import MaskedLanguageModel, SequenceClassifier
from tinylm.model.layout import (
    CONFIG,
    POSITION_IDS,
    WEIGHTS,
    Architecture,
    config_json,
    current_name,
    hugging_face_name,
    read_config,
    read_problem_type,
    sentence_transformer_files,
)
from tinylm.tokens.wordpiece import Tokenizer

# What a BERT folder may hold beside the model that is opened: buffers, copies of tied weights, other heads.
_NOT_OURS = {
    MaskedLanguageModel: re.compile(rf"{re.escape(POSITION_IDS)}|bert\.pooler\.dense\.\w+|cls\.seq_relationship\.\w+"),
    SequenceClassifier: re.compile(re.escape(POSITION_IDS)),
}


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
    architecture: Architecture = (
        "BertForSequenceClassification" if isinstance(model, SequenceClassifier) else "BertForMaskedLM"
    )
    problem_type = model.problem_type if isinstance(model, SequenceClassifier) else ONE_LABEL
    write_json(folder / CONFIG, config_json(model.config, architecture, tokenizer.pad_id, labels, problem_type))
    tokenizer.save(folder)
    for name, content in sentence_transformer_files(model.config).items():
        write_json(folder / name, content)


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
    model = SequenceClassifier(config, len(labels), read_problem_type(folder))
    _fill(model, folder)
    return model, labels


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
    return {current_name(name): tensor for name, tensor in tensors.items()}


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
