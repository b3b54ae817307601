"""A checkpoint, read without torch and folded into the plain arrays that answering needs.

The last layer is read at [CLS] alone, so its key and value projections move off the tokens (the algebra is in
`model/encoder.py`). Where nothing but the embedding stands before that layer, [CLS] is the same vector for every text:
then the folded query u is a constant of the model, and so is the residual. The embedding's norm goes too. A layer
norm does not see a constant added to its input, so the tables are stored with the mean of each row taken off. With e_t
a word and its place added, H features and r_t = 1 / sqrt(sum(e_t^2) + H epsilon), a token is
x_t = sqrt(H) weight * r_t e_t + bias, so that

    u . x_t           = r_t (sqrt(H) weight * u) . e_t           (what the bias adds cancels in the softmax)
    sum_t a_t x_t     = sqrt(H) weight * sum_t a_t r_t e_t + bias

and weight and bias move into the query and the value. Batch norm is folded into its convolution.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.core.problems import ONE_LABEL, ProblemType
from tinylm.model.config import ModelConfig
from tinylm.model.front_ends.base import FoldedFrontEnd
from tinylm.model.layout import CONFIG, read_config, read_problem_type
from tinylm.model.operations import Array, Bigrams, Linear, Norm
from tinylm.model.tensors import StoredTensors
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.wordpiece import Tokenizer

Wide = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """What follows the heads in a layer: projection, norm, feed-forward, norm."""

    projection: Linear
    projection_norm: Norm
    intermediate: Linear
    output: Linear
    output_norm: Norm


@dataclass(frozen=True)
class Layer:
    """A layer that is computed at every position; the query is scaled by 1 / sqrt(head size)."""

    heads: int
    query: Linear
    key: Linear
    value: Linear
    block: Block


@dataclass(frozen=True)
class FixedQuery:
    """The query of a [CLS] that is the same for every text: folded (heads, width).

    It reads the tokens before their norm, and has that norm's epsilon, times the width. The vector that attention is
    added to is constant too; it is in the bias of the block's projection.
    """

    folded: Array
    epsilon: float


@dataclass(frozen=True)
class TextQuery:
    """The query of a [CLS] that depends on its text: projection, scaled, and key (heads, width, head size)."""

    projection: Linear
    key: Array


@dataclass(frozen=True)
class Read:
    """The last layer, read at [CLS]: value (heads, head size, width); its bias is in that of the block's projection."""

    query: FixedQuery | TextQuery
    value: Array
    block: Block


@dataclass(frozen=True)
class FoldedEncoder:
    """One encoder, ready to be read at [CLS]."""

    config: ModelConfig
    """The shape it was trained in."""

    tokenizer: Tokenizer
    """Its vocabulary."""

    token_embeddings: Array
    """(vocabulary, width), the mean of each row taken off."""

    position_embeddings: Array
    """(positions, width), with the segment's added, likewise."""

    bigrams: Bigrams | None
    """Likewise; added to a token before the norm, never to [CLS], which has none before it."""

    norm: Norm
    """After the embedding."""

    front_end: FoldedFrontEnd
    """Between that and the layers."""

    layers: tuple[Layer, ...]
    """All but the last."""

    read: Read
    """The last."""

    @property
    def positions(self) -> int:
        """Tokens of a sequence at most."""
        return len(self.position_embeddings)


@dataclass(frozen=True)
class FoldedMember(FoldedEncoder):
    """One classifier, ready to answer."""

    labels: tuple[str, ...]
    """Names of its classes."""

    pooler: Linear
    """Before tanh."""

    classifier: Linear
    """After it."""

    problem_type: ProblemType = ONE_LABEL
    """Whether each text has one of the labels, or any number of them."""


def fold_encoder(folder: Path) -> FoldedEncoder:
    """Open a model folder in Hugging Face's layout as a folded encoder, whatever stands on it.

    Raises:
        InputError: not a model folder, or its weights are not those that its `config.json` describes.
    """
    tensors = StoredTensors(folder, "Encoder")
    return FoldedEncoder(**_encoder(folder, read_config(folder)[0], tensors))


def fold_member(folder: Path) -> FoldedMember:
    """Open a model folder in Hugging Face's layout as a folded classifier.

    Raises:
        InputError: not a model folder, not one of a classifier, or its weights are not those that its
            `config.json` describes.
    """
    config, labels = read_config(folder)
    if not labels:
        raise InputError(f"{folder} holds no classifier: its {CONFIG} names no labels; fine-tune it first")
    tensors, width = StoredTensors(folder), config.hidden_size
    member = FoldedMember(
        **_encoder(folder, config, tensors),
        labels=labels,
        pooler=tensors.linear("pooler", width, width),
        classifier=tensors.linear("classifier", len(labels), width),
        problem_type=read_problem_type(folder),
    )
    tensors.finish()
    return member


def _encoder(folder: Path, config: ModelConfig, tensors: StoredTensors) -> dict[str, Any]:
    """The fields of a `FoldedEncoder`."""
    tokenizer = load_tokenizer(folder)
    if tokenizer.vocab_size > config.vocab_size:
        raise InputError(
            f"{folder} has a vocabulary of {tokenizer.vocab_size} pieces, but its model knows {config.vocab_size}; "
            "copy the tokenizer that belongs to it"
        )
    width = config.hidden_size
    words = tensors.take("encoder.embeddings.word", config.vocab_size, width)
    positions = tensors.take("encoder.embeddings.position", config.positions, width)
    segments = tensors.take("encoder.embeddings.token_type", config.token_types, width)
    token_embeddings, position_embeddings = _centred(words), _centred(positions + segments[0])
    norm = tensors.norm("encoder.embeddings.norm", config)
    front_end = config.front_end.fold(tensors.within("encoder.front_end"), config)
    layers = tuple(_layer(tensors, config, depth) for depth in range(config.layers))
    if config.layers == 1 and config.front_end.cls_is_constant:
        read = _fold_fixed(layers[0], _normed(token_embeddings[tokenizer.cls_id] + position_embeddings[0], norm), norm)
    else:
        read = _fold(layers[-1])
    return {
        "config": config,
        "tokenizer": tokenizer,
        "token_embeddings": token_embeddings,
        "position_embeddings": position_embeddings,
        "bigrams": _bigrams(tensors.within("encoder.embeddings.bigrams"), config),
        "norm": norm,
        "front_end": front_end,
        "layers": layers[:-1],
        "read": read,
    }


def _bigrams(tensors: StoredTensors, config: ModelConfig) -> Bigrams | None:
    if not config.bigrams:
        return None
    codes = tensors.take_integers("codes", config.bigrams)
    table = tensors.take("table", config.bigrams + 1, config.hidden_size)
    return Bigrams(codes, _centred(table), config.vocab_size)


def _layer(tensors: StoredTensors, config: ModelConfig, depth: int) -> Layer:
    name, width = f"encoder.layers.{depth}", config.hidden_size
    query = tensors.linear(f"{name}.attention.query", width, width)
    scale = np.float32(1 / math.sqrt(config.head_size))
    return Layer(
        heads=config.heads,
        query=Linear(query.weight * scale, query.bias * scale),
        key=tensors.linear(f"{name}.attention.key", width, width),
        value=tensors.linear(f"{name}.attention.value", width, width),
        block=Block(
            projection=tensors.linear(f"{name}.attention.output", width, width),
            projection_norm=tensors.norm(f"{name}.attention.norm", config),
            intermediate=tensors.linear(f"{name}.intermediate", config.intermediate_size, width),
            output=tensors.linear(f"{name}.output", width, config.intermediate_size),
            output_norm=tensors.norm(f"{name}.norm", config),
        ),
    )


def _fold(layer: Layer) -> Read:
    """Fold a layer that is read at [CLS]."""
    # The key bias adds the same to every score of a head, and cancels in the softmax.
    key = np.ascontiguousarray(_by_head(layer, layer.key).transpose(0, 2, 1))
    return Read(TextQuery(layer.query, key), _by_head(layer, layer.value), _moved(layer, layer.value.bias))


def _fold_fixed(layer: Layer, cls: Wide, norm: Norm) -> Read:
    """Fold the one layer of a model whose [CLS], normed, is the same for every text: `cls` (width,)."""
    query = (layer.query.weight @ cls + layer.query.bias).reshape(layer.heads, -1)
    width = len(cls)
    weight = norm.weight * math.sqrt(width)
    folded = np.einsum("nd,ndh->nh", query, _by_head(layer, layer.key)) * weight
    value_bias = layer.value.weight @ norm.bias.astype(np.float64) + layer.value.bias
    return Read(
        FixedQuery(folded.astype(np.float32), width * norm.epsilon),
        _by_head(layer, layer.value) * weight,
        _moved(layer, value_bias, residual=cls),
    )


def _by_head(layer: Layer, linear: Linear) -> Array:
    """The rows that make each head: (heads, head size, width)."""
    return linear.weight.reshape(layer.heads, -1, linear.weight.shape[1])


def _moved(layer: Layer, value_bias: npt.NDArray[np.floating], residual: Wide | float = 0.0) -> Block:
    """The block with the value's bias, and a constant residual, in the bias of its projection.

    Attention weights sum to 1, so the value's bias passes through them.
    """
    weight, bias = layer.block.projection.weight, layer.block.projection.bias
    moved = weight @ value_bias.astype(np.float64) + bias + residual
    return replace(layer.block, projection=Linear(weight, moved.astype(np.float32)))


def _centred(table: Array) -> Array:
    return np.asarray(table - table.mean(1, keepdims=True, dtype=np.float64), dtype=np.float32)


def _normed(x: Array, norm: Norm) -> Wide:
    wide = x.astype(np.float64)
    centred = wide - wide.mean()
    return np.asarray(centred / np.sqrt(np.mean(centred**2) + norm.epsilon) * norm.weight + norm.bias)
