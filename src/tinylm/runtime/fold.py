"""A classifier's checkpoint, read without torch and folded into the plain arrays that answering needs.

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

import numpy as np
import numpy.typing as npt
import safetensors

from tinylm.core.errors import InputError
from tinylm.model.config import Conv2dFrontEnd, DepthwiseFrontEnd, ModelConfig
from tinylm.model.layout import CONFIG, POSITION_IDS, WEIGHTS, current_name, read_config
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.wordpiece import Tokenizer

Array = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]

_BATCH_NORM_EPSILON = 1e-5
_DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64}


@dataclass(frozen=True)
class Linear:
    """weight (out, in), bias (out,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class Norm:
    """Layer norm: weight and bias (width,)."""

    weight: Array
    bias: Array
    epsilon: float


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
class Convolution2d:
    """weight (channels out, channels in, kernel, kernel), bias (channels out,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class Depthwise:
    """A filter a feature, weight (width, 1, kernel), bias (width,), and the norm after it."""

    weight: Array
    bias: Array
    norm: Norm


FrontEnd = tuple[Convolution2d, ...] | Depthwise | None


@dataclass(frozen=True)
class FoldedMember:
    """One classifier, ready to answer.

    Attributes:
        tokenizer: its vocabulary.
        labels: names of its classes.
        words: (vocabulary, width) word embedding, the mean of each row taken off.
        places: (positions, width) position embedding, with the segment's added, likewise.
        norm: after the embedding.
        front_end: what stands before the layers.
        layers: all but the last.
        read: the last.
        pooler: before tanh.
        classifier: after it.
    """

    tokenizer: Tokenizer
    labels: tuple[str, ...]
    words: Array
    places: Array
    norm: Norm
    front_end: FrontEnd
    layers: tuple[Layer, ...]
    read: Read
    pooler: Linear
    classifier: Linear

    @property
    def positions(self) -> int:
        """Tokens in a row at most."""
        return len(self.places)

    @property
    def channels(self) -> int:
        """Copies of a token's vector that are held at once: those of the widest convolution."""
        return max(len(c.weight) for c in self.front_end) if isinstance(self.front_end, tuple) else 1


def fold_member(folder: Path) -> FoldedMember:
    """Open a model folder in Hugging Face's layout as a folded classifier.

    Raises:
        InputError: not a model folder, not one of a classifier, or its weights are not those that its
            `config.json` describes.
    """
    config, labels = read_config(folder)
    if not labels:
        raise InputError(f"{folder} holds no classifier: its {CONFIG} names no labels; fine-tune it first")
    tokenizer = load_tokenizer(folder)
    if tokenizer.vocab_size > config.vocab_size:
        raise InputError(
            f"{folder} has a vocabulary of {tokenizer.vocab_size} pieces, but its model knows {config.vocab_size}; "
            "copy the tokenizer that belongs to it"
        )
    tensors = _Tensors(folder)
    width = config.hidden_size
    words = tensors.take("bert.embeddings.word_embeddings.weight", config.vocab_size, width)
    positions = tensors.take("bert.embeddings.position_embeddings.weight", config.positions, width)
    segments = tensors.take("bert.embeddings.token_type_embeddings.weight", config.token_types, width)
    words, places = _centred(words), _centred(positions + segments[0])
    norm = tensors.norm("bert.embeddings.LayerNorm", config)
    front_end = _front_end(tensors, config)
    layers = tuple(_layer(tensors, config, depth) for depth in range(config.layers))
    if config.layers == 1 and front_end is None:
        read = _fold_fixed(layers[0], _normed(words[tokenizer.cls_id] + places[0], norm), norm)
    else:
        read = _fold(layers[-1])
    member = FoldedMember(
        tokenizer=tokenizer,
        labels=labels,
        words=words,
        places=places,
        norm=norm,
        front_end=front_end,
        layers=layers[:-1],
        read=read,
        pooler=tensors.linear("bert.pooler.dense", width, width),
        classifier=tensors.linear("classifier", len(labels), width),
    )
    tensors.finish()
    return member


def _layer(tensors: "_Tensors", config: ModelConfig, depth: int) -> Layer:
    name, width = f"bert.encoder.layer.{depth}", config.hidden_size
    query = tensors.linear(f"{name}.attention.self.query", width, width)
    scale = np.float32(1 / math.sqrt(config.head_size))
    return Layer(
        heads=config.heads,
        query=Linear(query.weight * scale, query.bias * scale),
        key=tensors.linear(f"{name}.attention.self.key", width, width),
        value=tensors.linear(f"{name}.attention.self.value", width, width),
        block=Block(
            projection=tensors.linear(f"{name}.attention.output.dense", width, width),
            projection_norm=tensors.norm(f"{name}.attention.output.LayerNorm", config),
            intermediate=tensors.linear(f"{name}.intermediate.dense", config.intermediate_size, width),
            output=tensors.linear(f"{name}.output.dense", width, config.intermediate_size),
            output_norm=tensors.norm(f"{name}.output.LayerNorm", config),
        ),
    )


def _fold(layer: Layer) -> Read:
    """Fold a layer that is read at [CLS]."""
    # The key bias adds the same to every score of a head, and cancels in the softmax.
    key = np.ascontiguousarray(_by_head(layer, layer.key).transpose(0, 2, 1))
    return Read(TextQuery(layer.query, key), _by_head(layer, layer.value), _moved(layer, layer.value.bias))


def _fold_fixed(layer: Layer, cls: Wide, norm: Norm) -> Read:
    """Fold the one layer of a model whose [CLS], normed, is the same for every text: `cls` (width,)."""
    asked = (layer.query.weight @ cls + layer.query.bias).reshape(layer.heads, -1)
    width = len(cls)
    weight = norm.weight * math.sqrt(width)
    folded = np.einsum("nd,ndh->nh", asked, _by_head(layer, layer.key)) * weight
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


def _front_end(tensors: "_Tensors", config: ModelConfig) -> FrontEnd:
    name = "bert.front_end"
    match config.front_end:
        case None:
            return None
        case DepthwiseFrontEnd(kernel=kernel):
            width = config.hidden_size
            weight = tensors.take(f"{name}.filter.weight", width, 1, kernel)
            return Depthwise(weight, tensors.take(f"{name}.filter.bias", width), tensors.norm(f"{name}.norm", config))
        case Conv2dFrontEnd(kernels=kernels, channels=channels):
            widths = [1, *[channels] * len(kernels), 1]
            return tuple(
                _convolution(tensors, name, index, widths[index + 1], widths[index], kernel)
                for index, kernel in enumerate((*kernels, 1))
            )


def _convolution(tensors: "_Tensors", name: str, index: int, out: int, into: int, kernel: int) -> Convolution2d:
    weight = tensors.take(f"{name}.convolutions.{index}.weight", out, into, kernel, kernel)
    bias = tensors.take(f"{name}.convolutions.{index}.bias", out)
    norm = f"{name}.norms.{index}"
    mean, variance = tensors.take(f"{norm}.running_mean", out), tensors.take(f"{norm}.running_var", out)
    tensors.take(f"{norm}.num_batches_tracked")
    scale = tensors.take(f"{norm}.weight", out) / np.sqrt(variance + np.float32(_BATCH_NORM_EPSILON))
    return Convolution2d(weight * scale[:, None, None, None], (bias - mean) * scale + tensors.take(f"{norm}.bias", out))


class _Tensors:
    """The arrays of a model folder, each to be taken once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / WEIGHTS
        if not self._path.is_file():
            raise InputError(f"{folder} is not a complete model folder: it has no {WEIGHTS}")
        try:
            stored = safetensors.deserialize(self._path.read_bytes())  # type: ignore[no-untyped-call]
        except (safetensors.SafetensorError, OSError) as error:
            raise InputError(f"{self._path} cannot be read: {error}") from error
        self._left = {current_name(name): tensor for name, tensor in stored}

    def take(self, name: str, *shape: int) -> Array:
        """The array of that name, in float32."""
        if name not in self._left:
            raise self._misfit(f"lacks {name}")
        tensor = self._left.pop(name)
        if tuple(tensor["shape"]) != shape:
            raise InputError(f"{self._path}: {name} has shape {tuple(tensor['shape'])}, but {CONFIG} asks for {shape}")
        kind = tensor["dtype"]
        if kind not in _DTYPES:
            raise InputError(f"{self._path}: {name} holds {kind} numbers; convert the weights to float32")
        array = np.frombuffer(tensor["data"], dtype=_DTYPES[kind]).reshape(shape)
        if kind == "BF16":
            # A bfloat16 is the upper half of a float32.
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(np.float32)

    def linear(self, name: str, out: int, into: int) -> Linear:
        return Linear(self.take(f"{name}.weight", out, into), self.take(f"{name}.bias", out))

    def norm(self, name: str, config: ModelConfig) -> Norm:
        weight, bias = (self.take(f"{name}.{part}", config.hidden_size) for part in ("weight", "bias"))
        return Norm(weight, bias, config.norm_epsilon)

    def finish(self) -> None:
        """Refuse what is left over."""
        self._left.pop(POSITION_IDS, None)
        if self._left:
            raise self._misfit(f"has a tensor too many, {min(self._left)}")

    def _misfit(self, what: str) -> InputError:
        return InputError(f"{self._path} does not fit the SequenceClassifier that its {CONFIG} describes: it {what}")
