"""How long runs will take, from a short calibration: a few updates of each shape and arm, timed on this machine."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from tinylm.core.seeds import torch_generator
from tinylm.model.config import ModelConfig
from tinylm.model.heads import MaskedLanguageModel, SequenceClassifier, initialise
from tinylm.study.questions.shape import Trial
from tinylm.study.runs.arms import tokens_per_update
from tinylm.study.runs.assembled import Distilled, OfCommittee
from tinylm.study.runs.finetuned import Candidate, Finetuned
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.pretrained import Pretrained, view
from tinylm.study.runs.run import Run
from tinylm.study.runs.subsets import take_documents
from tinylm.tokens.encoded import EncodedTexts
from tinylm.train.classification import Classification, ClassificationData, class_logits
from tinylm.train.distributed import join_processes
from tinylm.train.finetune import default_updates
from tinylm.train.objectives.base import TokenStatistics
from tinylm.train.optimiser import Optimiser
from tinylm.train.precision import choose_precision
from tinylm.train.pretraining import Pretraining
from tinylm.train.settings import TrainingSettings
from tinylm.train.workload import Workload

_DOCUMENTS, _TEXTS = 512, 128
_UPDATES = 2
_SMALL_BATCH = 32
"""Sequences of the calibration's batches on a CPU, so that it stays short; time is taken to be in proportion."""
_EVALUATIONS = 9 * 512
"""Sequences that a pre-training validates on: those of 8 validations and the first, held out and trained on."""
_STUDENT_UPDATES = 3000
"""The default of distillation."""
_FORWARD_SHARE = 1 / 3
"""Of an update, the part that a forward pass takes."""


def seconds_of_run(run: Run, lab: Lab) -> float:
    """How long a run will take; 0 for one whose kind is not known, which is short."""
    run = run.typical()
    if isinstance(run, Pretrained):
        return _pretraining_seconds(run, lab)
    if isinstance(run, Finetuned):
        return _finetuning_seconds(run, lab)
    if isinstance(run, OfCommittee):
        members = [tuned.typical() for tuned in run.members]
        again = sum(_finetuning_seconds(member, lab) for member in members)
        return again + (_distillation_seconds(run, members, lab) if isinstance(run, Distilled) else 0.0)
    if isinstance(run, Trial):
        first = run.study.member("bert-1", run.task, run.seed)
        # Each candidate of its search, and once more to be timed.
        return run.study.seconds + (len(first.candidates) + 1) * _finetuning_seconds(first.typical(), lab)
    return 0.0


def _pretraining_seconds(run: Pretrained, lab: Lab) -> float:
    if run.length.seconds is not None:
        return run.length.seconds
    per_sequence, tokens_per_sequence = _pretraining_pace(run, lab)
    if run.length.tokens is not None:
        sequences = run.length.tokens / tokens_per_sequence
    else:
        assert run.length.epochs is not None
        documents = len(lab.tokens(run.text)) if run.subset.documents is None else run.subset.documents
        # Of a document, an epoch reads one sequence, or a pair of passages.
        sequences = run.length.epochs * documents * (2 if run.settings(lab).sequences == "pairs" else 1)
    return per_sequence * (sequences + _FORWARD_SHARE * _EVALUATIONS)


def _distillation_seconds(run: Distilled, members: Sequence[Finetuned], lab: Lab) -> float:
    """Each member predicts every text; a student has batches twice as large as theirs."""
    per_update, per_text = _finetuning_pace(members[0], lab)
    texts = len(lab.unlabelled(members[0].sample, members[0].seed))
    return len(members) * texts * per_text + 2 * (run.updates or _STUDENT_UPDATES) * per_update


def _finetuning_seconds(run: Finetuned, lab: Lab) -> float:
    drawn = lab.task(run.sample, run.seed)
    settings = run.finetuning.settings(run.candidate, run.start.shape(lab), run.seed)
    texts = len(drawn.task.train)
    updates = settings.steps or default_updates(texts, settings.batch_size)
    if settings.epochs is not None:
        updates = round(settings.epochs * texts / settings.batch_size)
    per_update, per_text = _finetuning_pace(run, lab)
    return per_update * updates + per_text * (len(drawn.task.test) + len(drawn.validation))


_paces: dict[tuple[object, ...], tuple[float, float]] = {}


def _pretraining_pace(run: Pretrained, lab: Lab) -> tuple[float, float]:
    """Seconds of a sequence in training, and its tokens."""
    key = ("pre-training", run.text, run.preset, run.width, run.arm, run.precision, run.batch_size)
    if key not in _paces:
        shape, tokenizer, whole = run.shape(lab), lab.tokenizer(run.text), lab.tokens(run.text)
        tokens = take_documents(whole, np.arange(min(_DOCUMENTS, len(whole))))
        given = run.settings(lab)
        # A GPU takes as long for a small batch as for a large one.
        on_cpu = join_processes().device == "cpu"
        batch = min(given.batch_size, _SMALL_BATCH) if on_cpu else given.batch_size
        settings = replace(given, batch_size=batch, steps=_UPDATES)
        data = view(settings, tokens, np.arange(len(tokens)), shape.positions)
        model = MaskedLanguageModel(shape)
        initialise(model, 0)
        model.to(join_processes().device)
        statistics = TokenStatistics(tokenizer, tokens.counts)
        workload = Pretraining("calibration", model, data, data, statistics, settings, 0)
        seconds = _seconds_per_update(workload, settings, shape, shape.positions * batch)
        _paces[key] = seconds / batch, tokens_per_update(settings, data) / batch
    return _paces[key]


def _finetuning_pace(run: Finetuned, lab: Lab) -> tuple[float, float]:
    """Seconds of an update, and of a text to predict."""
    key = ("fine-tuning", run.start.text, run.start.preset, run.start.width, run.sample.task)
    if key not in _paces:
        shape, examples = run.start.shape(lab), lab.task(run.sample, run.seed).task.train
        settings = replace(run.finetuning.settings(Candidate(), shape, 0), steps=_UPDATES, epochs=None)
        texts = EncodedTexts(examples.texts[:_TEXTS], lab.tokenizer(run.start.text), shape.positions)
        labels = examples.labels[:_TEXTS]
        model = SequenceClassifier(shape, int(examples.labels.max()) + 1)
        initialise(model, 0)
        model.to(join_processes().device)
        data = ClassificationData(texts, labels, np.arange(len(labels)))
        workload = Classification("calibration", model, lab.tokenizer(run.start.text), data, data, settings)
        seconds = _seconds_per_update(workload, settings, shape, settings.batch_size)
        began = time.perf_counter()
        with torch.inference_mode():
            class_logits(model.eval(), texts)
        _paces[key] = seconds, (time.perf_counter() - began) / len(labels)
    return _paces[key]


def _seconds_per_update(workload: Workload, settings: TrainingSettings, shape: ModelConfig, rows: int) -> float:
    """The faster of two updates, after one that is not counted; `rows` vectors run through the matrices in each."""
    precision, _ = choose_precision(settings.precision, shape, rows, join_processes().device)
    optimiser = Optimiser(workload.model, settings, sparse=workload.sparse_parameters())
    device, seconds = join_processes().device, []
    for step in range(_UPDATES + 1):
        began = time.perf_counter()
        batch = workload.batch(step).to(device)
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            terms = workload.loss(workload.module, batch, torch_generator(0, "calibration", step, device=device))
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.update(1e-6)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
