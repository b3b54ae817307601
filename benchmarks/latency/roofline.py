"""What one core can do at best: bytes a second from each level of memory, multiply-adds a second of large products.

    python -m benchmarks.latency.roofline

prints them as JSON. `Roofline` turns them into the time below which no answer can be: every weight that is used has to
be read, every product to be made. Finding the tokens, and everything between the matrix products, is not counted.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.runner import environment, pinned

_SIZES_MB = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 256)
_BYTES = {"int8": 1, "float32": 4}


@dataclass(frozen=True)
class Roofline:
    """What was measured.

    Attributes:
        bandwidth: bytes a second, by the bytes that are read again and again.
        peak: multiply-adds a second, by precision.
    """

    bandwidth: dict[int, float]
    peak: dict[str, float]

    @classmethod
    def measure(cls) -> "Roofline":
        """In a process of its own, on one thread of one core."""
        with pinned(1):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.latency.roofline"],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env=environment(1),
            )
        found = json.loads(done.stdout)
        return cls({int(size): rate for size, rate in found["bandwidth"].items()}, found["peak"])

    def seconds(self, precision: str, *, width: int, tokens: int, members: int = 1, batch: int = 1) -> float:
        """Of one call to a committee of one-layer members, `width` wide, with heads of 64.

        [CLS] alone is read, and it is the same vector for every text: what is left of a member are the value and output
        projections, the feed-forward and the pooler (11 H^2 weights), and the folded queries. Each text costs them
        once, and two products a token, a head and a feature.
        """
        heads = width // 64
        weights = 11 * width * width + heads * width
        rows = 2 * batch * tokens * width
        read = members * (weights + rows) * _BYTES[precision]
        products = members * batch * (weights + 2 * tokens * heads * width)
        return max(read / self._rate(read), products / self.peak[precision])

    def _rate(self, size: int) -> float:
        """Of the smallest array measured that is no smaller."""
        return self.bandwidth[min((known for known in self.bandwidth if known >= size), default=max(self.bandwidth))]


def _bandwidth() -> dict[int, float]:
    import numpy as np  # noqa: PLC0415

    found = {}
    for megabytes in _SIZES_MB:
        size = int(megabytes * 1e6)
        array = np.ones(size // 4, dtype=np.float32)
        found[size] = max(size / _best(read) for read in (lambda a=array: a.dot(a), array.max, array.sum))
    return found


def _peak() -> dict[str, float]:
    import numpy as np  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    rows, inner, columns = 512, 1024, 1024
    left, right = np.ones((rows, inner), dtype=np.float32), np.ones((inner, columns), dtype=np.float32)
    weight = numpy_helper.from_array(np.ones((inner, columns), dtype=np.int8), "weight")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1

    def session(operator: str, kind: int, initial: TensorProto, out: int) -> onnxruntime.InferenceSession:
        graph = helper.make_graph(
            [helper.make_node(operator, ["x", "weight"], ["y"])],
            "product",
            [helper.make_tensor_value_info("x", kind, (rows, inner))],
            [helper.make_tensor_value_info("y", out, (rows, columns))],
            [initial],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    integer = session("MatMulInteger", TensorProto.UINT8, weight, TensorProto.INT32)
    single = session("MatMul", TensorProto.FLOAT, numpy_helper.from_array(right, "weight"), TensorProto.FLOAT)
    products = rows * inner * columns
    floats = (lambda: left @ right, lambda: single.run(None, {"x": left}))
    return {
        "float32": max(products / _best(multiply) for multiply in floats),
        "int8": products / _best(lambda: integer.run(None, {"x": left.astype(np.uint8)})),
    }


def _best(work: Callable[[], object], seconds: float = 0.15) -> float:
    """Seconds of the fastest of many runs: a roofline is not what is usual."""
    work()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


if __name__ == "__main__":
    print(json.dumps({"bandwidth": _bandwidth(), "peak": _peak()}))
