"""Export: a trained committee becomes one artefact that classifies without torch, once it is shown to be equal.

The float32 graph must agree with torch (`parity.py`); quantised weights are measured on labelled text (`report.py`).
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from tinylm.core.errors import InputError, TinyLMError
from tinylm.core.files import new_folder, write_json, write_text
from tinylm.core.progress import Progress, Silent
from tinylm.core.runs import RUN, read_record
from tinylm.evaluation.out_of_fold import open_out_of_fold
from tinylm.exporting import parity
from tinylm.exporting.card import CARD, model_card
from tinylm.exporting.graph import build_graph
from tinylm.exporting.provenance import shareable
from tinylm.exporting.report import ExportReport, accuracy_drop
from tinylm.runtime.artefact import (
    ARTEFACT,
    GRAPH,
    MAX_ACCURACY_DROP,
    Artefact,
    WeightPrecision,
    require_replaceable,
    vocabulary_folders,
    write_artefact,
)
from tinylm.runtime.backends import Backend, OnnxBackend
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.loading import Checkpoint, load, open_checkpoint
from tinylm.text.sources import TaskSource

_LARGEST = 2**31
"""Bytes of a protocol buffer."""


def export_committee(
    model: Path,
    output: Path,
    *,
    precision: WeightPrecision = "float32",
    max_accuracy_drop: float = MAX_ACCURACY_DROP,
    task: TaskSource | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a committee as one graph with its vocabulary, labels and a model card; nothing where a check fails.

    Args:
        model: folder of a committee, or of a classifier in Hugging Face's layout.
        output: folder to write; an artefact that is there is replaced.
        precision: of the weights; `int8` and `int4` are kept if they cost little accuracy.
        max_accuracy_drop: percentage points that they may cost; where they cost more, float32 is kept, with a message.
        task: labelled text to measure that cost on; when None, what each member held out of its training.
        progress: receives stages and messages.

    Raises:
        InputError: no such model, the output folder is taken, or there is no labelled text to measure quantisation on.
        TinyLMError: the graph does not compute what the model computes.
    """
    progress = progress or Silent()
    require_replaceable(output, ARTEFACT)
    if (model / ARTEFACT).is_file():
        raise InputError(f"{model} is exported already; give the folder that `tinylm train` wrote")
    checkpoint, record = open_checkpoint(model), read_record(model)
    labelled = None
    if precision != "float32":
        problem_type = checkpoint.voting.problem_type
        labelled = open_out_of_fold(model, len(checkpoint.members), checkpoint.labels, task, None, problem_type)
    progress.say(f"writing {len(checkpoint.members)} member(s) as one graph, and comparing it with torch")
    graph = _graph(checkpoint, "float32")
    backend = _backend(checkpoint, graph)
    difference = parity.largest_difference(checkpoint, backend)
    if not difference <= parity.TOLERANCE:
        raise TinyLMError(
            f"the exported graph differs from {model} by {difference:.1e} in a probability, more than "
            f"{parity.TOLERANCE:.0e}; nothing was written, please report this with the model's config.json"
        )
    committee, drop = checkpoint.classifier(backend, threads=1), None
    if labelled is not None:
        progress.say(f"quantising the weights to {precision}, and measuring that on {len(labelled.examples):,} texts")
        smaller = _graph(checkpoint, precision)
        quantized = checkpoint.classifier(_backend(checkpoint, smaller), threads=1)
        drop = accuracy_drop(committee, quantized, precision, labelled)
        if drop.points <= max_accuracy_drop:
            graph, committee = smaller, quantized
        else:
            precision = "float32"
            progress.say(
                f"{drop.precision} costs {drop.points:.2f} points of {drop.measure} on {drop.texts:,} texts, "
                f"more than {max_accuracy_drop:g}, so float32 is kept; --max-accuracy-drop allows more"
            )
    with new_folder(output) as temporary:
        write(temporary, checkpoint, graph, precision)
        if record:
            write_json(temporary / RUN, shareable(record))
        measured_on = task.source if task else str(record.get("task", ""))
        card = model_card(output.name, checkpoint, record, precision, difference, drop, measured_on)
        write_text(temporary / CARD, card)
        _check_written(temporary, committee)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return ExportReport(output, precision, size, difference, drop)


def _graph(checkpoint: Checkpoint, precision: WeightPrecision) -> bytes:
    graph = build_graph(checkpoint.members, checkpoint.voting, precision, checkpoint.ngrams)
    if graph.ByteSize() >= _LARGEST:
        raise InputError(
            f"{len(checkpoint.members)} members make a graph of {graph.ByteSize() / 1e9:.1f} GB, and one file of ONNX "
            "holds 2.1; export fewer members, or smaller ones"
        )
    return bytes(graph.SerializeToString())


def write(folder: Path, checkpoint: Checkpoint, graph: bytes, precision: WeightPrecision) -> None:
    """Write what an artefact classifies with into an existing folder: its graph, vocabularies and `artefact.json`.

    Args:
        folder: the folder.
        checkpoint: what is exported.
        graph: of `build_graph`.
        precision: of the weights in it.
    """
    (folder / GRAPH).write_bytes(graph)
    vocabularies = checkpoint.vocabularies
    for vocabulary, path in zip(vocabularies, vocabulary_folders(folder, len(vocabularies)), strict=True):
        path.mkdir(exist_ok=True)
        vocabulary.tokenizer.save(path)
    write_artefact(
        folder,
        Artefact(
            members=len(checkpoint.members),
            labels=checkpoint.labels,
            **asdict(checkpoint.voting),
            precision=precision,
            positions=tuple(vocabulary.positions for vocabulary in vocabularies),
            batch_tokens=checkpoint.batch_tokens,
            long=checkpoint.long,
        ),
    )


def _backend(checkpoint: Checkpoint, graph: bytes) -> Backend:
    return OnnxBackend(graph, len(checkpoint.vocabularies), threads=1)


def _check_written(folder: Path, committee: Classifier) -> None:
    """What was written opens, and classifies text as the graph in memory does."""
    texts = ["", "one text", "another text, of some more words"]
    if not np.array_equal(load(folder).votes(texts), committee.votes(texts)):
        raise TinyLMError(f"what was written to {folder} does not answer as the model does; nothing was kept")
