"""What a committee computes, said once: token ids to each member's probabilities and the vote.

It is said in `Operations`, of which there are two: `numpy_operations.py` computes with arrays at once, `graph.py`
writes an ONNX graph. So the graph that is shipped and the arrays that it must equal cannot drift apart, and both are
held against the torch model that was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tinylm.committee.voting import Vote
from tinylm.runtime.fold import (
    Array,
    Block,
    Convolution2d,
    Depthwise,
    FixedQuery,
    FoldedMember,
    Layer,
    Linear,
    Norm,
    Read,
    TextQuery,
)

Value = TypeVar("Value")
"""What flows: an array, or the name of a tensor in a graph."""


class Operations(Protocol[Value]):
    """The steps a network is made of. B texts, T tokens, H features, N heads; float32 unless said otherwise."""

    def words(self, table: Array, ids: Value) -> Value:
        """Rows of a table (vocabulary, H) at ids (B, T) int64: (B, T, H)."""

    def places(self, table: Array, ids: Value) -> Value:
        """The first T rows of a table (positions, H): (T, H)."""

    def norm(self, x: Value, norm: Norm) -> Value:
        """Layer norm over the last axis."""

    def inverse_norm(self, x: Value, epsilon: float) -> Value:
        """1 / sqrt(sum of squares over the last axis + epsilon): x (B, T, H) to (B, 1, T)."""

    def linear(self, x: Value, linear: Linear) -> Value:
        """X (..., in) to (..., out)."""

    def linear_by_head(self, x: Value, weight: Array) -> Value:
        """Each head by a matrix of its own: x (B, N, in), weight (N, out, in) to (B, N, out)."""

    def fixed_scores(self, query: Array, x: Value) -> Value:
        """Products of constant queries (N, H) with every token of x (B, T, H): (B, N, T)."""

    def scores(self, query: Value, x: Value) -> Value:
        """Products of query (..., Q, H) with x (..., T, H): (..., Q, T)."""

    def matmul(self, x: Value, y: Value) -> Value:
        """Matrix product over the last two axes."""

    def add(self, x: Value, y: Value) -> Value:
        """Sum."""

    def multiply(self, x: Value, y: Value) -> Value:
        """Product, element by element."""

    def gelu(self, x: Value) -> Value:
        """X times the normal distribution function of x, exact (by erf)."""

    def tanh(self, x: Value) -> Value:
        """Hyperbolic tangent."""

    def softmax(self, x: Value) -> Value:
        """Over the last axis."""

    def mean(self, x: Value, *, keep: bool) -> Value:
        """Over the second axis, which becomes 1 or goes."""

    def concatenate(self, values: Sequence[Value]) -> Value:
        """Along the second axis."""

    def reshape(self, x: Value, *shape: int) -> Value:
        """To a shape in which 0 keeps an axis and -1 is what is left."""

    def transpose(self, x: Value, *axes: int) -> Value:
        """With axes in another order."""

    def first(self, x: Value) -> Value:
        """The first token of each text: (B, T, H) to (B, H)."""

    def padding_bias(self, mask: Value) -> Value:
        """0 where a token is real and -inf where it is padding: mask (B, T) int64 to (B, 1, T)."""

    def real_tokens(self, mask: Value) -> Value:
        """1 where a token is real and 0 where it is padding: mask (B, T) int64 to (B, T, 1)."""

    def convolve_features(self, x: Value, depthwise: Depthwise) -> Value:
        """Each feature filtered over neighbouring tokens, `same`-padded: (B, T, H) to (B, T, H)."""

    def convolve_image(self, x: Value, convolution: Convolution2d) -> Value:
        """2-D convolution, `same`-padded: (B, channels, T, H) to (B, channels out, T, H)."""


@dataclass(frozen=True)
class Rows(Generic[Value]):
    """Texts as one vocabulary has them.

    Attributes:
        ids: (B, T) token ids, int64, padded.
        mask: (B, T) 1 where a token is real, 0 where it is padding, int64.
    """

    ids: Value
    mask: Value


@dataclass(frozen=True)
class Outputs(Generic[Value]):
    """What a committee says.

    Attributes:
        probabilities: (B, labels), the committee's.
        votes: (B, members, labels) probabilities of each.
        attention: for each group (B, its members, T), how the [CLS] read weighs the tokens, mean over heads.
    """

    probabilities: Value
    votes: Value
    attention: tuple[Value, ...]


def groups(members: Sequence[FoldedMember]) -> tuple[tuple[int, ...], ...]:
    """Positions of the members that see a text as the same row of ids: one vocabulary, one longest row."""
    found: dict[tuple[str, int], list[int]] = {}
    for index, member in enumerate(members):
        found.setdefault((member.tokenizer.fingerprint, member.positions), []).append(index)
    return tuple(map(tuple, found.values()))


def input_names(kind: str, count: int) -> list[str]:
    """What a graph calls the inputs or outputs of each of its groups."""
    return [kind] if count == 1 else [f"{kind}_{index}" for index in range(count)]


def committee(
    operations: Operations[Value], members: Sequence[FoldedMember], vote: Vote, rows: Sequence[Rows[Value]]
) -> Outputs[Value]:
    """What a committee computes of texts.

    Args:
        operations: how to compute.
        members: the voters.
        vote: `probability` averages probabilities, `logit` logits.
        rows: the texts, once for each of `groups(members)`.
    """
    logits: dict[int, Value] = {}
    attention = []
    for group, texts in zip(groups(members), rows, strict=True):
        of_group = []
        for index in group:
            logits[index], weights = _member(operations, members[index], texts)
            of_group.append(weights)
        attention.append(operations.concatenate(of_group))
    side_by_side = operations.concatenate([logits[index] for index in range(len(members))])
    by_member = operations.reshape(side_by_side, 0, len(members), -1)
    votes = operations.softmax(by_member)
    if vote == "probability":
        probabilities = operations.mean(votes, keep=False)
    else:
        probabilities = operations.softmax(operations.mean(by_member, keep=False))
    return Outputs(probabilities, votes, tuple(attention))


def _member(operations: Operations[Value], member: FoldedMember, rows: Rows[Value]) -> tuple[Value, Value]:
    """Logits (B, labels) and attention weights (B, 1, T)."""
    embedded = operations.add(operations.words(member.words, rows.ids), operations.places(member.places, rows.ids))
    bias = operations.padding_bias(rows.mask)
    if isinstance(member.read.query, FixedQuery):
        read, attention = _read_embedding(operations, member, member.read.query, embedded, bias)
    else:
        x = _front_end(operations, member, operations.norm(embedded, member.norm), rows)
        for layer in member.layers:
            x = _layer(operations, layer, x, bias)
        read, attention = _read(operations, member.read, member.read.query, x, bias)
    pooled = operations.tanh(operations.linear(read, member.pooler))
    return operations.linear(pooled, member.classifier), operations.mean(attention, keep=True)


def _front_end(operations: Operations[Value], member: FoldedMember, x: Value, rows: Rows[Value]) -> Value:
    if member.front_end is None:
        return x
    real = operations.real_tokens(rows.mask)
    if isinstance(member.front_end, Depthwise):
        x = operations.multiply(x, real)
        filtered = operations.gelu(operations.convolve_features(x, member.front_end))
        return operations.norm(operations.add(x, filtered), member.front_end.norm)
    width = member.words.shape[1]
    image, real = operations.reshape(x, 0, 1, -1, width), operations.reshape(real, 0, 1, -1, 1)
    for convolution in member.front_end:
        image = operations.gelu(operations.convolve_image(operations.multiply(image, real), convolution))
    return operations.reshape(image, 0, -1, width)


def _layer(operations: Operations[Value], layer: Layer, x: Value, bias: Value) -> Value:
    query, key, value = (
        operations.transpose(operations.reshape(operations.linear(x, y), 0, 0, layer.heads, -1), 0, 2, 1, 3)
        for y in (layer.query, layer.key, layer.value)
    )
    scores = operations.add(operations.scores(query, key), operations.reshape(bias, 0, 1, 1, -1))
    attended = operations.matmul(operations.softmax(scores), value)
    width = len(layer.value.bias)
    merged = operations.reshape(operations.transpose(attended, 0, 2, 1, 3), 0, -1, width)
    return _block(operations, layer.block, merged, x)


def _read_embedding(
    operations: Operations[Value], member: FoldedMember, query: FixedQuery, embedded: Value, bias: Value
) -> tuple[Value, Value]:
    """The only layer at [CLS], (B, H), from tokens before their norm (B, T, H); and its attention (B, N, T)."""
    scale = operations.inverse_norm(embedded, query.epsilon)
    scores = operations.multiply(operations.fixed_scores(query.folded, embedded), scale)
    attention = operations.softmax(operations.add(scores, bias))
    context = operations.matmul(operations.multiply(attention, scale), embedded)
    return _block(operations, member.read.block, _heads(operations, context, member.read.value)), attention


def _read(operations: Operations[Value], read: Read, query: TextQuery, x: Value, bias: Value) -> tuple[Value, Value]:
    """The last layer at [CLS], (B, H), and its attention (B, N, T)."""
    first = operations.first(x)
    asked = operations.reshape(operations.linear(first, query.projection), 0, len(query.key), -1)
    scores = operations.scores(operations.linear_by_head(asked, query.key), x)
    attention = operations.softmax(operations.add(scores, bias))
    attended = _heads(operations, operations.matmul(attention, x), read.value)
    return _block(operations, read.block, attended, first), attention


def _heads(operations: Operations[Value], context: Value, value: Array) -> Value:
    """Values of what each head attended to, side by side: (B, N, H) to (B, H)."""
    return operations.reshape(operations.linear_by_head(context, value), 0, -1)


def _block(operations: Operations[Value], block: Block, attended: Value, residual: Value | None = None) -> Value:
    x = operations.linear(attended, block.projection)
    if residual is not None:
        x = operations.add(residual, x)
    x = operations.norm(x, block.projection_norm)
    expanded = operations.gelu(operations.linear(x, block.intermediate))
    return operations.norm(operations.add(x, operations.linear(expanded, block.output)), block.output_norm)
