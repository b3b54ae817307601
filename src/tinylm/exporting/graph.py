"""The network's operations as nodes of an ONNX graph, in float32 or with weights of 8 or 4 bits.

The graph is written, not traced: batch and length are free, and no input is baked in. Where weights are quantized, an
embedding has 8 bits and a scale for each row; a matrix has 8 or 4 bits and a scale for each block of its inputs. Its
products are made with the input rounded to 8 bits too, each row by itself, so that an answer does not depend on the
texts it shares a batch with.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinylm.committee.voting import Voting
from tinylm.exporting.bigram_index import BigramIndex
from tinylm.exporting.quantise import BITS, quantized_blocks, quantized_rows
from tinylm.model.ngrams import NgramClassifier
from tinylm.model.operations import Array, Linear, Norm, TokenBatch
from tinylm.runtime.artefact import WeightPrecision
from tinylm.runtime.fold import FoldedMember
from tinylm.runtime.forward import VECTORS, forward_committee, groups, input_names

OPSET, IR_VERSION = 20, 10
"""The oldest with a GELU by erf, and what goes with it; ONNX Runtime has both since 1.18."""

_MICROSOFT = "com.microsoft"


class GraphOperations:
    """See `model.operations.Operations`; a value is the name of a tensor, and a node made twice is made once.

    Args:
        precision: of the weights.
    """

    def __init__(self, precision: WeightPrecision) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._bits = BITS.get(precision)
        self._made: dict[tuple[Any, ...], str] = {}

    def token_embeddings(self, table: Array, ids: str) -> str:
        if self._bits is None:
            return self._node("Gather", self._constant(table, "token_embeddings"), ids)
        quantized, scale = quantized_rows(table)
        rows = self._node("Gather", self._constant(quantized, "token_embeddings"), ids)
        scales = self._node("Gather", self._constant(scale, "token_scales"), ids)
        return self.multiply(self._node("Cast", rows, to=TensorProto.FLOAT), scales)

    def position_embeddings(self, table: Array, ids: str) -> str:
        if self._bits is not None:
            quantized, scale = quantized_rows(table)
            # The session computes this once, when it is opened.
            wide = self._node("Cast", self._constant(quantized, "position_embeddings"), to=TensorProto.FLOAT)
            stored = self.multiply(wide, self._constant(scale, "position_scales"))
        else:
            stored = self._constant(table, "position_embeddings")
        tokens = self._node("Shape", ids, start=1, end=2)
        return self._node("Slice", stored, self._integers(0), tokens, self._integers(0))

    def bigram_rows(self, codes: npt.NDArray[np.int64], vocab_size: int, ids: str) -> str:
        """See `Operations`; made once for all members that list the same."""
        key = ("bigrams", ids, vocab_size, codes.tobytes())
        if key not in self._made:
            index = BigramIndex.of(codes)
            # The first token has none before it; with 0 there it makes a code that is never listed.
            before = self._node("Pad", ids, self._integers(0, 1, 0, -1))
            code = self.add(self.multiply(before, self._integer(vocab_size)), ids)
            bucket = self._node("Mod", code, self._integer(len(index.codes)))
            slots = self._node("Gather", self._constant(index.codes, "bigram_codes"), bucket)  # (B, T, slots)
            rows = self._node("Gather", self._constant(index.rows, "bigram_rows"), bucket)
            found = self._node("Equal", slots, self._node("Unsqueeze", code, self._integers(2)))
            zero = self._constant(np.array(0, np.int32), "zero")
            listed = self._node("Where", found, rows, zero)
            self._made[key] = self._node("ReduceSum", listed, self._integers(2), keepdims=0)
        return self._made[key]

    def occurrences(self, rows: str) -> str:
        same = self._node("Equal", *(self._node("Unsqueeze", rows, self._integers(axis)) for axis in (1, 2)))
        # In ONNX Runtime floats are added up in half the time that integers take.
        counts = self._node("ReduceSum", self._node("Cast", same, to=TensorProto.FLOAT), self._integers(2), keepdims=0)
        return self._node("Cast", counts, to=TensorProto.INT32)

    def lookup(self, values: npt.NDArray[Any], ids: str) -> str:
        return self._node("Gather", self._constant(values, "values"), ids)

    def constant(self, values: Array) -> str:
        return self._constant(values, "values")

    def norm(self, x: str, norm: Norm) -> str:
        parts = self._constant(norm.weight, "norm_weight"), self._constant(norm.bias, "norm_bias")
        return self._node("LayerNormalization", x, *parts, axis=-1, epsilon=norm.epsilon)

    def inverse_norm(self, x: str, epsilon: float) -> str:
        # In ONNX Runtime these two steps take half the time of ReduceSumSquare.
        squares = self._node("ReduceSum", self.multiply(x, x), self._integers(2), keepdims=0)
        norm = self._node("Sqrt", self.add(squares, self._constant(np.array(epsilon, np.float32), "epsilon")))
        return self._node("Unsqueeze", self._node("Reciprocal", norm), self._integers(1))

    def linear(self, x: str, linear: Linear) -> str:
        if self._bits is not None:
            return self._quantized_product(x, self._bits, linear.weight, linear.bias)
        product = self.matmul(x, self._constant(np.ascontiguousarray(linear.weight.T), "weight"))
        return self.add(product, self._constant(linear.bias, "bias"))

    def linear_by_head(self, x: str, weight: Array) -> str:
        if self._bits is not None:
            names = [f"{x}_head_{head}" for head in range(len(weight))]
            self.nodes.append(helper.make_node("Split", [x], names, axis=1, num_outputs=len(names)))
            products = [
                self._quantized_product(name, self._bits, rows) for name, rows in zip(names, weight, strict=True)
            ]
            return self._node("Concat", *products, axis=1)
        heads_first = self.transpose(x, 1, 0, 2)
        constant = self._constant(np.ascontiguousarray(weight.transpose(0, 2, 1)), "weight_by_head")
        return self.transpose(self.matmul(heads_first, constant), 1, 0, 2)

    def fixed_scores(self, query: Array, x: str) -> str:
        product = self.matmul(x, self._constant(np.ascontiguousarray(query.T), "query"))
        return self.transpose(product, 0, 2, 1)

    def scores(self, query: str, x: str) -> str:
        return self._node("FusedMatMul", query, x, domain=_MICROSOFT, transB=1)

    def matmul(self, x: str, y: str) -> str:
        return self._node("MatMul", x, y)

    def add(self, x: str, y: str) -> str:
        return self._node("Add", x, y)

    def multiply(self, x: str, y: str) -> str:
        return self._node("Mul", x, y)

    def scale(self, x: str, factor: float) -> str:
        return self.multiply(x, self._constant(np.array(factor, np.float32), "factor"))

    def log(self, x: str) -> str:
        smallest = self._constant(np.array(np.finfo(np.float32).tiny), "smallest")
        return self._node("Log", self._node("Max", x, smallest))

    def gelu(self, x: str) -> str:
        return self._node("Gelu", x)

    def tanh(self, x: str) -> str:
        return self._node("Tanh", x)

    def sigmoid(self, x: str) -> str:
        return self._node("Sigmoid", x)

    def softmax(self, x: str) -> str:
        return self._node("Softmax", x, axis=-1)

    def mean(self, x: str, *, keep: bool) -> str:
        return self._node("ReduceMean", x, self._integers(1), keepdims=int(keep))

    def concatenate(self, values: Sequence[str]) -> str:
        return self._node("Concat", *values, axis=1)

    def reshape(self, x: str, *shape: int) -> str:
        return self._node("Reshape", x, self._integers(*shape))

    def transpose(self, x: str, *axes: int) -> str:
        return self._node("Transpose", x, perm=axes)

    def first(self, x: str) -> str:
        return self._node("Gather", x, self._constant(np.array(0), "first"), axis=1)

    def padding_bias(self, mask: str) -> str:
        values = [self._constant(np.array(value, dtype=np.float32), "padding_bias") for value in (0, -np.inf)]
        bias = self._node("Where", self._node("Cast", mask, to=TensorProto.BOOL), *values)
        return self._node("Unsqueeze", bias, self._integers(1))

    def real_tokens(self, mask: str) -> str:
        return self._node("Unsqueeze", self._node("Cast", mask, to=TensorProto.FLOAT), self._integers(2))

    def convolve_features(self, x: str, weight: Array, bias: Array) -> str:
        parts = self._constant(weight, "filter"), self._constant(bias, "bias")
        features_first = self.transpose(x, 0, 2, 1)
        filtered = self._node("Conv", features_first, *parts, group=len(weight), pads=_same(weight.shape[2]))
        return self.transpose(filtered, 0, 2, 1)

    def convolve_image(self, x: str, weight: Array, bias: Array) -> str:
        parts = self._constant(weight, "filter"), self._constant(bias, "bias")
        before, after = _same(weight.shape[2])
        return self._node("Conv", x, *parts, pads=[before, before, after, after])

    def _quantized_product(self, x: str, bits: int, weight: Array, bias: Array | None = None) -> str:
        quantized, scales = quantized_blocks(weight, bits)
        inputs = [x, self._constant(quantized, "weight"), self._constant(scales, "weight_scales")]
        if bias is not None:
            inputs += ["", "", self._constant(bias, "bias")]
        out, into = weight.shape
        sizes = {"N": out, "K": into, "bits": bits, "block_size": quantized.shape[2] * 8 // bits}
        # Level 4: the input is rounded to 8 bits as well, block by block.
        return self._node("MatMulNBits", *inputs, domain=_MICROSOFT, accuracy_level=4, **sizes)

    def _node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        key = (kind, inputs, tuple((name, str(value)) for name, value in attributes.items()))
        if key not in self._made:
            name = f"{kind.lower()}_{len(self.nodes)}"
            self.nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
            self._made[key] = name
        return self._made[key]

    def _constant(self, array: npt.NDArray[Any], purpose: str) -> str:
        name = f"{purpose}_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def _integer(self, value: int) -> str:
        return self._constant(np.array(value, np.int64), "integer")

    def _integers(self, *values: int) -> str:
        key = ("integers", values)
        if key not in self._made:
            self._made[key] = self._constant(np.array(values, dtype=np.int64), "integers")
        return self._made[key]


def build_graph(
    members: Sequence[FoldedMember],
    voting: Voting,
    precision: WeightPrecision,
    ngrams: NgramClassifier | None = None,
) -> onnx.ModelProto:
    """One graph for a committee, and for the linear n-gram classifier that votes with it, if there is one.

    Its inputs, for each of `runtime.forward.groups(members)`, are `input_ids` and `attention_mask` (batch, tokens),
    int64, as Hugging Face names them; with an index after the name where there are several groups. Its outputs are
    `probabilities` (batch, labels), `votes` (batch, members, labels), for each group `attention` (batch, its members,
    tokens), where there is such a classifier, its probabilities, `ngrams` (batch, labels), and what these are made of,
    for texts of several windows: `ngram_scores`, `ngram_scale`, `ngram_bias`, see `runtime.forward.NgramSums`; and for
    each member its vector of a text, `vectors` (batch, width), likewise with an index where there are several.
    """
    operations = GraphOperations(precision)
    count = len(groups(members))
    ids, masks, attention = (input_names(kind, count) for kind in ("input_ids", "attention_mask", "attention"))
    tokens = input_names("tokens", count)
    batches = [TokenBatch(*pair) for pair in zip(ids, masks, strict=True)]
    outputs = forward_committee(operations, members, voting, batches, ngrams)
    labels = len(members[0].labels)
    shapes: dict[str, list[str | int]] = {
        "probabilities": ["batch", labels],
        "votes": ["batch", len(members), labels],
        **{
            name: ["batch", len(group), length]
            for name, group, length in zip(attention, groups(members), tokens, strict=True)
        },
    }
    values = [outputs.probabilities, outputs.votes, *outputs.attention]
    if outputs.ngrams is not None:
        assert outputs.ngram_sums is not None
        shapes |= {
            "ngrams": ["batch", labels],
            "ngram_scores": ["batch", labels],
            "ngram_scale": ["batch", 1, 1],
            "ngram_bias": [labels],
        }
        sums = outputs.ngram_sums
        values += [outputs.ngrams, sums.scores, sums.scale, sums.bias]
    vectors = input_names(VECTORS, len(members))
    shapes |= {name: ["batch", member.config.hidden_size] for name, member in zip(vectors, members, strict=True)}
    values += outputs.vectors
    # What is computed gets the name it is known by outside.
    nodes = [helper.make_node("Identity", [value], [name]) for name, value in zip(shapes, values, strict=True)]
    graph = helper.make_graph(
        operations.nodes + nodes,
        "committee",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", length])
            for names in (ids, masks)
            for name, length in zip(names, tokens, strict=True)
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        operations.constants,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(_MICROSOFT, 1)],
        ir_version=IR_VERSION,
        producer_name="tinylm",
    )


def _same(kernel: int) -> list[int]:
    """Padding before and after that keeps the size; an even kernel sees one more position after it than before."""
    return [(kernel - 1) // 2, kernel // 2]
