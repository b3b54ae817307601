"""What a committee computes, written once: token ids to each member's probabilities and the vote.

It is written in `Operations`, of which there are two: `numpy_backend.py` computes with arrays at once,
`exporting/graph.py` writes an ONNX graph. So the graph that is shipped and
the arrays that it must equal cannot drift apart, and both are compared with the torch model that was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from tinylm.committee.voting import Voting
from tinylm.model.ngrams import NORM_EPSILON, NgramClassifier
from tinylm.model.operations import Array, Operations, TokenBatch, Value
from tinylm.runtime.fold import Block, FixedQuery, FoldedEncoder, FoldedMember, Layer, Read, TextQuery

VECTORS = "vectors"
"""Begins the names of a graph's outputs of vectors, one for each member."""


@dataclass(frozen=True)
class NgramSums(Generic[Value]):
    """What the linear n-gram classifier adds up over the tokens of a text, from which several windows make one text."""

    scores: Value
    """(B, labels), of all its n-grams."""
    scale: Value
    """(B, 1, 1), what the scores are multiplied by: 1 / sqrt(the sum of tf idf^2 over the n-grams)."""
    bias: Value
    """(labels,)."""


@dataclass(frozen=True)
class Outputs(Generic[Value]):
    """What a committee computes of a batch.

    Attributes:
        probabilities: (B, labels), the committee's.
        votes: (B, members, labels) probabilities of each.
        attention: for each group (B, its members, T), how the [CLS] read weighs the tokens, mean over heads.
        ngrams: (B, labels) probabilities of the linear n-gram classifier that votes with the members, if there is one.
        vectors: for each member (B, width), its encoder's output at [CLS]; none where nobody asks for them.
        ngram_sums: what `ngrams` are made of; None in what was exported before texts were read in windows.
    """

    probabilities: Value
    votes: Value
    attention: tuple[Value, ...]
    ngrams: Value | None = None
    vectors: tuple[Value, ...] = ()
    ngram_sums: NgramSums[Value] | None = None


def groups(members: Sequence[FoldedEncoder]) -> tuple[tuple[int, ...], ...]:
    """Positions of the members that see a text as the same sequence of ids: one vocabulary, one longest sequence."""
    found: dict[tuple[str, int], list[int]] = {}
    for index, member in enumerate(members):
        found.setdefault((member.tokenizer.fingerprint, member.positions), []).append(index)
    return tuple(map(tuple, found.values()))


def input_names(kind: str, count: int) -> list[str]:
    """What a graph calls the inputs or outputs of each of its groups."""
    return [kind] if count == 1 else [f"{kind}_{index}" for index in range(count)]


def forward_committee(
    operations: Operations[Value],
    members: Sequence[FoldedMember],
    voting: Voting,
    batches: Sequence[TokenBatch[Value]],
    ngrams: NgramClassifier | None = None,
) -> Outputs[Value]:
    """What a committee computes of texts.

    Args:
        operations: how to compute.
        members: the voters.
        voting: how they vote.
        batches: the texts, once for each of `groups(members)`.
        ngrams: votes with the members, on the ids of the first group, by `voting.ngram_weight`.
    """
    read, by_group = _read_all(operations, members, batches)
    attention = tuple(map(operations.concatenate, by_group))
    logits = []
    for member, vector in zip(members, read, strict=True):
        pooled = operations.tanh(operations.linear(vector, member.pooler))
        logits.append(operations.linear(pooled, member.classifier))
    side_by_side = operations.concatenate(logits)
    by_member = operations.reshape(side_by_side, 0, len(members), -1)
    spread = operations.sigmoid if voting.several else operations.softmax
    votes = spread(by_member)
    by_ngrams = sums = None
    if ngrams is not None:
        by_ngrams, sums = ngram_probabilities(operations, ngrams, batches[0], voting)
    mean = operations.mean(votes if voting.vote == "probability" else by_member, keep=False)
    if by_ngrams is not None:
        share = voting.ngram_weight
        further = by_ngrams if voting.vote == "probability" else _logits(operations, by_ngrams, voting)
        mean = operations.add(operations.scale(mean, 1 - share), operations.scale(further, share))
    if voting.vote == "probability" and voting.temperature == 1:
        return Outputs(mean, votes, attention, by_ngrams, read, sums)
    mean_logits = _logits(operations, mean, voting) if voting.vote == "probability" else mean
    probabilities = spread(operations.scale(mean_logits, 1 / voting.temperature))
    return Outputs(probabilities, votes, attention, by_ngrams, read, sums)


def encode_members(
    operations: Operations[Value], members: Sequence[FoldedEncoder], batches: Sequence[TokenBatch[Value]]
) -> tuple[Value, ...]:
    """The output of each encoder at [CLS], (B, width), of texts that are given once for each of `groups(members)`."""
    return _read_all(operations, members, batches)[0]


def _read_all(
    operations: Operations[Value], members: Sequence[FoldedEncoder], batches: Sequence[TokenBatch[Value]]
) -> tuple[tuple[Value, ...], list[list[Value]]]:
    """Each member's output at [CLS] (B, width), and in each group its members' attention weights (B, 1, T)."""
    read: dict[int, Value] = {}
    attention = []
    for group, batch in zip(groups(members), batches, strict=True):
        of_group = []
        for index in group:
            read[index], weights = _member(operations, members[index], batch)
            of_group.append(weights)
        attention.append(of_group)
    return tuple(read[index] for index in range(len(members))), attention


def _logits(operations: Operations[Value], probabilities: Value, voting: Voting) -> Value:
    """What gives these probabilities: their logarithms, or the log-odds of each label where a text may have several."""
    logs = operations.log(probabilities)
    if not voting.several:
        return logs
    others = operations.add(operations.scale(probabilities, -1.0), operations.constant(np.ones(1, np.float32)))
    return operations.add(logs, operations.scale(operations.log(others), -1.0))


def ngram_probabilities(
    operations: Operations[Value], ngrams: NgramClassifier, batch: TokenBatch[Value], voting: Voting
) -> tuple[Value, NgramSums[Value]]:
    """(B, labels), those of the linear n-gram classifier, and its sums; the formula is in `model/ngrams.py`."""
    of_unigrams = operations.lookup(ngrams.unigram_rows, batch.ids)
    of_bigrams = operations.bigram_rows(ngrams.bigrams.codes, ngrams.vocab_size, batch.ids)
    real = operations.real_tokens(batch.mask)
    roots = np.sqrt(ngrams.share_of_tf)
    totals, norms = [], []
    for table, rows in ((ngrams.unigrams, of_unigrams), (ngrams.bigrams, of_bigrams)):
        root = operations.multiply(operations.lookup(roots, operations.occurrences(rows)), real)  # (B, T, 1)
        share = operations.transpose(operations.multiply(root, root), 0, 2, 1)
        totals.append(operations.matmul(share, operations.token_embeddings(table.weights, rows)))
        norms.append(operations.multiply(operations.lookup(table.norms, rows), root))
    total = operations.add(*totals)  # (B, 1, labels)
    scale = operations.inverse_norm(operations.transpose(operations.concatenate(norms), 0, 2, 1), NORM_EPSILON)
    scores, bias = operations.reshape(operations.multiply(total, scale), 0, -1), operations.constant(ngrams.bias)
    sums = NgramSums(operations.reshape(total, 0, -1), scale, bias)
    logits = operations.add(scores, bias)
    return operations.sigmoid(logits) if voting.several else operations.softmax(logits), sums


def _member(operations: Operations[Value], member: FoldedEncoder, batch: TokenBatch[Value]) -> tuple[Value, Value]:
    """The output at [CLS], (B, width), and attention weights (B, 1, T)."""
    embedded = operations.add(
        operations.token_embeddings(member.token_embeddings, batch.ids),
        operations.position_embeddings(member.position_embeddings, batch.ids),
    )
    if member.bigrams is not None:
        rows = operations.bigram_rows(member.bigrams.codes, member.bigrams.vocab_size, batch.ids)
        embedded = operations.add(embedded, operations.token_embeddings(member.bigrams.table, rows))
    bias = operations.padding_bias(batch.mask)
    if isinstance(member.read.query, FixedQuery):
        read, attention = _read_embedding(operations, member, member.read.query, embedded, bias)
    else:
        x = member.front_end.apply(operations, operations.norm(embedded, member.norm), batch)
        for layer in member.layers:
            x = _layer(operations, layer, x, bias)
        read, attention = _read(operations, member.read, member.read.query, x, bias)
    return read, operations.mean(attention, keep=True)


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
    operations: Operations[Value], member: FoldedEncoder, query: FixedQuery, embedded: Value, bias: Value
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
    queries = operations.reshape(operations.linear(first, query.projection), 0, len(query.key), -1)
    scores = operations.scores(operations.linear_by_head(queries, query.key), x)
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
