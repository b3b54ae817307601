"""Hugging Face's layout of a BERT, without its numbers: names of files and tensors, and what `config.json` says.

Both sides build on this: torch, which writes and trains such folders (`checkpoint.py`), and the runtime, which
answers from them without torch. Models with a front-end or bigrams have no counterpart in `transformers`; their
`model_type` is `tinylm`, so that it refuses them instead of dropping these.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tinylm.core.errors import InputError
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS, ProblemType
from tinylm.model.config import ModelConfig
from tinylm.model.front_ends.base import front_end_json, read_front_end

CONFIG, WEIGHTS = "config.json", "model.safetensors"

Architecture = Literal["BertForMaskedLM", "BertForSequenceClassification"]

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
    (r"^encoder\.embeddings\.bigrams\.", r"bert.embeddings.bigrams."),
    (r"^encoder\.front_end\.", r"bert.front_end."),
    (r"^head\.dense\.", r"cls.predictions.transform.dense."),
    (r"^head\.norm\.", r"cls.predictions.transform.LayerNorm."),
    (r"^head\.bias$", r"cls.predictions.bias"),
    (r"^pooler\.", r"bert.pooler.dense."),
)


POSITION_IDS = "bert.embeddings.position_ids"
"""Name of a buffer that older BERT folders hold beside the weights."""


def hugging_face_name(name: str) -> str:
    """The name that `transformers` gives to one of our tensors."""
    for pattern, replacement in _TO_HUGGING_FACE:
        name, count = re.subn(pattern, replacement, name)
        if count:
            break
    return name


def current_name(name: str) -> str:
    """The name of a tensor today: checkpoints converted from TensorFlow call a norm's weight and bias gamma, beta."""
    return re.sub(r"LayerNorm\.(gamma|beta)$", _norm_name, name)


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


def read_problem_type(folder: Path) -> ProblemType:
    """Whether a classifier's folder says that a text has one label, or any number; one where it says nothing.

    Raises:
        InputError: it is something else, such as a number.
    """
    path = folder / CONFIG
    found = json.loads(path.read_text(encoding="utf-8")).get("problem_type") or ONE_LABEL
    if found not in (ONE_LABEL, SEVERAL_LABELS):
        raise InputError(f"{path} has the problem_type {found!r}; tinylm opens {ONE_LABEL} and {SEVERAL_LABELS}")
    return ONE_LABEL if found == ONE_LABEL else SEVERAL_LABELS


def config_json(
    config: ModelConfig,
    architecture: Architecture,
    pad_id: int,
    labels: tuple[str, ...] = (),
    problem_type: ProblemType = ONE_LABEL,
) -> dict[str, Any]:
    """What `config.json` says of a model; `labels` and `problem_type` are those of a classifier."""
    stored: dict[str, Any] = {
        "architectures": [architecture],
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
        "pad_token_id": pad_id,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }
    if labels:
        stored["id2label"] = {str(i): label for i, label in enumerate(labels)}
        stored["label2id"] = {label: i for i, label in enumerate(labels)}
        stored["problem_type"] = problem_type
    front_end = front_end_json(config.front_end)
    if front_end is not None:
        stored["front_end"] = front_end
    if config.bigrams:
        stored["bigrams"] = config.bigrams
    if not opens_in_transformers(config):
        stored["model_type"] = "tinylm"
    return stored


def sentence_transformer_files(config: ModelConfig) -> dict[str, Any]:
    """What `sentence_transformers` wants beside a model that `transformers` opens, so that [CLS] is a text's vector.

    Returns:
        The JSON of each file, by its path in the model's folder; none for a model that `transformers` cannot open.
    """
    if not opens_in_transformers(config):
        return {}
    modules = ("", "Transformer"), ("1_Pooling", "Pooling")
    return {
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for index, (path, kind) in enumerate(modules)
        ],
        "sentence_bert_config.json": {"max_seq_length": config.positions, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": config.hidden_size,
            "pooling_mode_cls_token": True,
            "pooling_mode_mean_tokens": False,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    }


SENTENCE_TRANSFORMER_FILES = ("modules.json", "sentence_bert_config.json", "1_Pooling", "1_Pooling/config.json")


def opens_in_transformers(config: ModelConfig) -> bool:
    """Whether a model of this shape has a counterpart in `transformers`: neither a front-end nor bigrams."""
    return front_end_json(config.front_end) is None and not config.bigrams


def _from_json(stored: Mapping[str, Any]) -> tuple[ModelConfig, tuple[str, ...]]:
    if stored["model_type"] not in ("bert", "tinylm"):
        raise ValueError(f"its model_type is {stored['model_type']!r}")
    for key, supported in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if stored.get(key, supported) != supported:
            raise ValueError(f"its {key} is {stored[key]!r}, and only {supported!r} is supported")
    config = ModelConfig(
        vocab_size=stored["vocab_size"],
        hidden_size=stored["hidden_size"],
        layers=stored["num_hidden_layers"],
        heads=stored["num_attention_heads"],
        intermediate_size=stored["intermediate_size"],
        positions=stored["max_position_embeddings"],
        token_types=stored.get("type_vocab_size", 2),
        norm_epsilon=stored.get("layer_norm_eps", 1e-12),
        bigrams=stored.get("bigrams", 0),
        front_end=read_front_end(stored.get("front_end")),
    )
    names = {int(index): label for index, label in (stored.get("id2label") or {}).items()}
    if "BertForSequenceClassification" not in (stored.get("architectures") or []):
        return config, ()
    # `transformers` writes no names where a classifier has its default of two labels.
    names = names or {0: "LABEL_0", 1: "LABEL_1"}
    return config, tuple(names[i] for i in range(len(names)))


def _norm_name(found: re.Match[str]) -> str:
    return "LayerNorm.weight" if found[1] == "gamma" else "LayerNorm.bias"
