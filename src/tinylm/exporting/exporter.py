"""Export: a trained committee becomes one artefact that answers without torch, once it has shown that it is the same.

The graph in float32 must give the probabilities that torch gives, to 1e-5, on rows of many lengths, alone and in padded
batches. Weights of fewer bits are then held against it on labelled text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copy

import numpy as np
import numpy.typing as npt
import torch

from tinylm.committee import voting
from tinylm.core.errors import InputError, TinyLMError
from tinylm.core.files import new_folder, write_text
from tinylm.core.progress import Progress, Silent
from tinylm.core.runs import RUN
from tinylm.core.seeds import numpy_generator
from tinylm.evaluation.committees import Validation, open_validation
from tinylm.exporting.card import CARD, model_card
from tinylm.exporting.graph import build_graph
from tinylm.model.checkpoint import load_classifier
from tinylm.runtime.artefact import (
    ARTEFACT,
    GRAPH,
    MAX_ACCURACY_DROP,
    Artefact,
    Precision,
    require_replaceable,
    vocabulary_folders,
    write_artefact,
)
from tinylm.runtime.backends import Backend, OnnxBackend
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.forward import Rows, groups
from tinylm.runtime.loading import Checkpoint, load, open_checkpoint
from tinylm.text.sources import TaskSource

TOLERANCE = 1e-5
"""Between probabilities of the float32 graph and of torch."""

_LARGEST = 2**31
"""Bytes of a protocol buffer."""

_LENGTHS = ((2,), (3,), (17,), (1000,), (2, 9, 9, 30), (1000, 2, 40))
"""Rows of the batches that parity is checked on, before they are cut to what the members can read."""


@dataclass(frozen=True)
class Loss:
    """What rounded weights cost on labelled text, where each text is judged as `evaluation.Validation` says.

    Attributes:
        precision: of the rounded weights.
        texts: how many.
        exact: accuracy in float32, 0 to 1.
        rounded: accuracy with rounded weights.
        changed: texts that get another label.
    """

    precision: Precision
    texts: int
    exact: float
    rounded: float
    changed: int

    @property
    def points(self) -> float:
        """Accuracy lost, in points of a percent; negative where some was gained."""
        return 100 * (self.exact - self.rounded)


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        folder: the artefact.
        precision: of its weights.
        size: of its files, bytes.
        difference: largest one between its float32 probabilities and torch's.
        loss: of rounding the weights, where that was asked for.
    """

    folder: Path
    precision: Precision
    size: int
    difference: float
    loss: Loss | None


def export(
    model: str | Path,
    output: str | Path,
    *,
    precision: Precision = "float32",
    max_accuracy_drop: float = MAX_ACCURACY_DROP,
    task: TaskSource | str | Path | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Export:
    """Write a committee as one graph with its vocabulary, labels and a model card; nothing where a check fails.

    Args:
        model: folder of a committee, or of a classifier in Hugging Face's layout.
        output: folder to write; an artefact that is there is replaced.
        precision: of the weights; `int8` and `int4` are kept if they cost little accuracy.
        max_accuracy_drop: points of accuracy they may cost; where they cost more, float32 is kept, and `progress` told.
        task: labelled text to measure that cost on; when None, what each member held out of its training.
        data_dir: where data sets known by name are looked for.
        progress: who listens.

    Raises:
        InputError: no such model, the output folder is taken, or there is no labelled text to round weights by.
        TinyLMError: the graph does not compute what the model computes.
    """
    model, output, progress = Path(model), Path(output), progress or Silent()
    require_replaceable(output, ARTEFACT)
    if (model / ARTEFACT).is_file():
        raise InputError(f"{model} is exported already; give the folder that `tinylm train` wrote")
    checkpoint = open_checkpoint(model)
    source = TaskSource(str(task)) if isinstance(task, str | Path) else task
    validation = None
    if precision != "float32":
        validation = open_validation(model, len(checkpoint.members), checkpoint.labels, source, data_dir)
    progress.say(f"writing {len(checkpoint.members)} member(s) as one graph, and comparing it with torch")
    graph = _graph(checkpoint, "float32")
    engine = _engine(checkpoint, graph)
    difference = _largest_difference(checkpoint, engine)
    if not difference <= TOLERANCE:
        raise TinyLMError(
            f"the exported graph differs from {model} by {difference:.1e} in a probability, more than {TOLERANCE:.0e}; "
            "nothing was written, please report this with the model's config.json"
        )
    committee, loss = checkpoint.classifier(engine, threads=1), None
    if validation is not None:
        count = len(validation.examples)
        progress.say(f"rounding the weights to {precision}, and measuring that on {count:,} texts")
        smaller = _graph(checkpoint, precision)
        rounded = checkpoint.classifier(_engine(checkpoint, smaller), threads=1)
        loss = _loss(committee, rounded, precision, validation)
        if loss.points <= max_accuracy_drop:
            graph, committee = smaller, rounded
        else:
            precision = "float32"
            progress.say(
                f"{loss.precision} costs {loss.points:.2f} points of accuracy on {loss.texts:,} texts, "
                f"more than {max_accuracy_drop:g}, so float32 is kept; --max-accuracy-drop allows more"
            )
    with new_folder(output) as temporary:
        write(temporary, checkpoint, graph, precision)
        if (model / RUN).is_file():
            copy(model / RUN, temporary)
        write_text(temporary / CARD, model_card(model, checkpoint, output.name, precision, difference, loss))
        _check_written(temporary, committee)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return Export(output, precision, size, difference, loss)


def _graph(checkpoint: Checkpoint, precision: Precision) -> bytes:
    graph = build_graph(checkpoint.members, checkpoint.vote, precision)
    if graph.ByteSize() >= _LARGEST:
        raise InputError(
            f"{len(checkpoint.members)} members make a graph of {graph.ByteSize() / 1e9:.1f} GB, and one file of ONNX "
            "holds 2.1; export fewer members, or smaller ones"
        )
    return bytes(graph.SerializeToString())


def write(folder: Path, checkpoint: Checkpoint, graph: bytes, precision: Precision) -> None:
    """Write what an artefact answers with into an existing folder: its graph, vocabularies and `artefact.json`.

    Args:
        folder: the folder.
        checkpoint: what was exported.
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
            vote=checkpoint.vote,
            precision=precision,
            positions=tuple(vocabulary.positions for vocabulary in vocabularies),
            batch_tokens=checkpoint.batch_tokens,
        ),
    )


def _engine(checkpoint: Checkpoint, graph: bytes) -> Backend:
    return OnnxBackend(graph, len(checkpoint.vocabularies), threads=1)


def _largest_difference(checkpoint: Checkpoint, engine: Backend) -> float:
    """Between probabilities of the graph and of torch, members' and committee's, over `_LENGTHS`."""
    models = [load_classifier(folder)[0].eval() for folder in checkpoint.folders]
    differences = []
    for rows in _rows(checkpoint):
        found = engine.run(rows)
        votes = np.empty(found.votes.swapaxes(0, 1).shape)
        for group, texts in zip(groups(checkpoint.members), rows, strict=True):
            ids, mask = torch.from_numpy(texts.ids), torch.from_numpy(texts.mask).bool()
            for index in group:
                with torch.inference_mode():
                    votes[index] = models[index](ids, mask).double().softmax(1).numpy()
        vote = voting.vote(votes, checkpoint.vote)
        differences += [np.abs(found.votes.swapaxes(0, 1) - votes).max(), np.abs(found.probabilities - vote).max()]
    # Not a number is larger than any tolerance.
    return float(np.max(differences))


def _rows(checkpoint: Checkpoint) -> Iterator[list[Rows[npt.NDArray[np.int64]]]]:
    """Batches of random ids, once for each vocabulary."""
    for number, lengths in enumerate(_LENGTHS):
        batch = []
        for group, vocabulary in zip(groups(checkpoint.members), checkpoint.vocabularies, strict=True):
            cut = np.minimum(lengths, vocabulary.positions)
            mask = (np.arange(cut.max()) < cut[:, None]).astype(np.int64)
            generator = numpy_generator(0, "parity", number)
            ids = generator.integers(0, len(checkpoint.members[group[0]].words), mask.shape)
            ids[:, 0] = vocabulary.tokenizer.cls_id
            batch.append(Rows(ids, mask))
        yield batch


def _loss(exact: Classifier, rounded: Classifier, precision: Precision, validation: Validation) -> Loss:
    guesses = [validation.predictions(committee) for committee in (exact, rounded)]
    before, after = (float(np.mean(guess == validation.examples.labels)) for guess in guesses)
    return Loss(precision, len(validation.examples), before, after, int(np.count_nonzero(guesses[0] != guesses[1])))


def _check_written(folder: Path, committee: Classifier) -> None:
    """What was written opens, and answers text as the graph in memory does."""
    texts = ["", "one text", "another text, of some more words"]
    if not np.array_equal(load(folder).votes(texts), committee.votes(texts)):
        raise TinyLMError(f"what was written to {folder} does not answer as the model does; nothing was kept")
