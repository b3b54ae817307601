"""What answers once texts are ids: ONNX Runtime on an exported graph, or NumPy on the arrays of a checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tinylm.committee.voting import Voting
from tinylm.core.errors import InputError
from tinylm.model.operations import TokenBatch
from tinylm.runtime.blas import limit_threads
from tinylm.runtime.forward import VECTORS, NgramSums, Outputs, encode_members, forward_committee, input_names
from tinylm.runtime.numpy_backend import NumpyOperations, Values

if TYPE_CHECKING:
    from tinylm.model.ngrams import NgramClassifier
    from tinylm.runtime.fold import FoldedEncoder, FoldedMember


class Backend(Protocol):
    """Ids to probabilities; may be called from several threads at once."""

    @property
    def width(self) -> int:
        """Features of a text's vector, over all members; 0 where it gives none."""

    def forward(self, batches: Sequence[TokenBatch[Values]]) -> Outputs[Values]:
        """Answer texts, given once for each vocabulary."""

    def encode(self, batches: Sequence[TokenBatch[Values]]) -> Sequence[Values]:
        """The vectors (B, width) of each member, for texts given likewise."""


class NumpyEncoderBackend:
    """Encoders computed as they were trained, in float32.

    Args:
        members: the encoders.
        threads: as of `NumpyBackend`.
    """

    def __init__(self, members: "Sequence[FoldedEncoder]", threads: int) -> None:
        self._members, self._threads = members, threads
        self.width = sum(member.config.hidden_size for member in members)

    def encode(self, batches: Sequence[TokenBatch[Values]]) -> Sequence[Values]:
        """See `Backend`."""
        with limit_threads(self._threads):
            return encode_members(NumpyOperations(), self._members, batches)


class NumpyBackend:
    """A committee computed as it was trained, in float32.

    Args:
        members: the voters.
        voting: how they vote.
        threads: that matrix products use at most; see `blas.limit_threads` for calls that overlap.
        ngrams: votes with them.
    """

    def __init__(
        self,
        members: "Sequence[FoldedMember]",
        voting: Voting,
        threads: int,
        ngrams: "NgramClassifier | None" = None,
    ) -> None:
        self._members, self._voting, self._threads, self._ngrams = members, voting, threads, ngrams
        self._encoders = NumpyEncoderBackend(members, threads)
        self.width = self._encoders.width

    def forward(self, batches: Sequence[TokenBatch[Values]]) -> Outputs[Values]:
        """See `Backend`."""
        with limit_threads(self._threads):
            return forward_committee(NumpyOperations(), self._members, self._voting, batches, self._ngrams)

    def encode(self, batches: Sequence[TokenBatch[Values]]) -> Sequence[Values]:
        """See `Backend`."""
        return self._encoders.encode(batches)


class OnnxBackend:
    """A graph that `graph.build_graph` wrote.

    Args:
        graph: the file, or its bytes.
        groups: how many vocabularies it takes.
        threads: that one batch uses at most.

    Attributes:
        width: features of a text's vector, over all members; 0 in what was exported before there were any.

    Raises:
        InputError: ONNX Runtime cannot open it.
    """

    def __init__(self, graph: Path | bytes, groups: int, threads: int) -> None:
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin while they wait take the cores from the tokenizer's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                graph if isinstance(graph, bytes) else str(graph), options, providers=["CPUExecutionProvider"]
            )
        # ONNX Runtime raises classes of its own, without a common one.
        except Exception as error:
            name = graph if isinstance(graph, Path) else "the graph"
            raise InputError(f"{name} cannot be opened ({error}); export the model again") from error
        self._ids, self._masks = input_names("input_ids", groups), input_names("attention_mask", groups)
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        # What `predict` does not ask for is not handed over.
        self._vectors = [name for name in outputs if name.startswith(VECTORS)]
        self._predicted = [name for name in outputs if name not in self._vectors]
        self.width = sum(outputs[name][1] for name in self._vectors)

    def forward(self, batches: Sequence[TokenBatch[Values]]) -> Outputs[Values]:
        """See `Backend`."""
        probabilities, votes, *others = self._session.run(self._predicted, self._fed(batches))
        attention, ngrams = tuple(others[: len(self._ids)]), others[len(self._ids) :]
        sums = NgramSums(*ngrams[1:]) if len(ngrams) > 1 else None
        return Outputs(probabilities, votes, attention, ngrams[0] if ngrams else None, ngram_sums=sums)

    def encode(self, batches: Sequence[TokenBatch[Values]]) -> Sequence[Values]:
        """See `Backend`; `width` says whether the graph gives vectors."""
        return self._session.run(self._vectors, self._fed(batches))  # type: ignore[no-any-return]

    def _fed(self, batches: Sequence[TokenBatch[Values]]) -> dict[str, Values]:
        fed: dict[str, Values] = {}
        for ids, mask, texts in zip(self._ids, self._masks, batches, strict=True):
            fed[ids], fed[mask] = texts.ids, texts.mask
        return fed
