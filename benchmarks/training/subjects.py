"""Subjects of the training benchmark: tinylm as its users get it, and the loops they would write with `transformers`.

tinylm runs through its own `Trainer`, which `Pacer` follows through its progress; validations and checkpoints are left
out of the rounds. The baselines pad every sequence to 128 tokens, as most tutorials do. Texts are encoded before the
first round on both sides, and only real tokens are counted.
"""

# A subject imports what it needs and no more: its memory is measured.
# ruff: noqa: PLC0415

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.runner import Pacer

LENGTH, BATCH, DOCUMENTS = 128, 32, 2000


class _PacedProgress:
    """Progress that paces the training loop after each update."""

    def __init__(self, pacer: Pacer, *, texts: bool) -> None:
        self._pacer, self._texts = pacer, texts
        self._tokens = 0
        self.trainer: Any = None

    def update(self, done: float, facts: str = "") -> None:
        del done, facts
        step, tokens = self.trainer.state.step, self.trainer.state.tokens
        texts = len(self.trainer.workload.batch(step - 1).ids) if self._texts else 0
        amount = texts if self._texts else tokens - self._tokens
        self._tokens = tokens
        self._pacer.after_update(amount)

    def say(self, message: str) -> None:
        del message

    def start(self, what: str, total: float | None, unit: str) -> None:
        del what, total, unit

    def finish(self) -> None:
        pass


def tinylm_pretrain(arguments: argparse.Namespace, pacer: Pacer) -> None:
    """Packed sequences, float32 or bfloat16 as measured, only masked positions read."""
    from tinylm.model.config import preset
    from tinylm.model.heads import MaskedLanguageModel, initialise
    from tinylm.tokens.encoding import tokenise
    from tinylm.tokens.loading import load_tokenizer
    from tinylm.tokens.sequences import Packed, split_documents
    from tinylm.train.objectives.base import TokenStatistics
    from tinylm.train.precision import choose_precision
    from tinylm.train.pretrain import default_learning_rate
    from tinylm.train.pretraining import Pretraining
    from tinylm.train.settings import PretrainSettings

    shape = preset(arguments.shape)
    tokenizer = load_tokenizer(arguments.data / "bert-base-uncased")
    settings = PretrainSettings(
        steps=pacer.updates,
        batch_size=BATCH,
        learning_rate=default_learning_rate(shape),
        save_every="100h",
        sequences="packed",
        mlm_weight=1.0,
        bow_weight=0.0,
        context_bow_weight=0.0,
        infonce_weight=0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        tokens = tokenise(_corpus(arguments.data, DOCUMENTS), tokenizer, cache=Path(folder))
        train, held = split_documents(len(tokens), settings.seed)
        training, validation = (Packed(tokens, documents, shape.positions) for documents in (train, held))
        model = MaskedLanguageModel(shape)
        initialise(model, settings.seed)
        statistics = TokenStatistics(tokenizer, tokens.counts)
        workload = Pretraining("pre-training", model, training, validation, statistics, settings, settings.seed)
        precision, _ = choose_precision("auto", shape, shape.positions * BATCH, "cpu")
        _run(workload, settings, Path(folder), precision, pacer, texts=False)


def tinylm_finetune(arguments: argparse.Namespace, pacer: Pacer) -> None:
    """Texts padded to the longest of their batch, only [CLS] read, sparse gradient of the word embedding."""
    import numpy as np

    from tinylm.model.config import preset
    from tinylm.model.heads import SequenceClassifier, initialise
    from tinylm.text.sources import load_task
    from tinylm.text.splits import held_out_rows
    from tinylm.tokens.encoded import EncodedTexts
    from tinylm.tokens.loading import load_tokenizer
    from tinylm.train.classification import Classification, ClassificationData
    from tinylm.train.finetune import default_learning_rate
    from tinylm.train.precision import choose_precision
    from tinylm.train.settings import FinetuneSettings

    shape = preset(arguments.shape)
    tokenizer = load_tokenizer(arguments.data / "bert-base-uncased")
    task = load_task("fewrel", data_dir=arguments.data)
    settings = FinetuneSettings(
        steps=pacer.updates, batch_size=BATCH, learning_rate=default_learning_rate(shape), save_every="100h"
    )
    sequences = EncodedTexts(task.train.texts, tokenizer, shape.positions)
    held_out = held_out_rows(task.train, settings.validation_fraction, settings.seed)
    train = ClassificationData(sequences, task.train.labels, np.flatnonzero(~held_out))
    two = ClassificationData(sequences, task.train.labels, np.flatnonzero(held_out)[:2])
    model = SequenceClassifier(shape, len(task.labels))
    initialise(model, settings.seed)
    job = Classification("fine-tuning", model, tokenizer, train, two, settings)
    precision, _ = choose_precision("auto", shape, BATCH, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        _run(job, settings, Path(folder), precision, pacer, texts=True)


def _run(job: Any, settings: Any, folder: Path, precision: Any, pacer: Pacer, *, texts: bool) -> None:
    from tinylm.train.distributed import DistributedContext
    from tinylm.train.trainer import Trainer

    job.evaluations = 0
    progress = _PacedProgress(pacer, texts=texts)
    progress.trainer = Trainer(job, settings, folder / "run", precision, DistributedContext(0, 1, "cpu"), progress)
    progress.trainer.run()


def baseline_pretrain(arguments: argparse.Namespace, pacer: Pacer) -> None:
    """BertForMaskedLM on documents truncated and padded to 128, all positions computed."""
    import torch
    from transformers import (  # type: ignore[attr-defined]
        BertForMaskedLM,
        BertTokenizerFast,
        DataCollatorForLanguageModeling,
    )

    tokenizer = BertTokenizerFast.from_pretrained(str(arguments.data / "bert-base-uncased"))
    documents = list(_corpus(arguments.data, DOCUMENTS).documents())
    encoded = tokenizer(documents, padding="max_length", truncation=True, max_length=LENGTH)
    data: Any = [{key: encoded[key][i] for key in ("input_ids", "attention_mask")} for i in range(len(documents))]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    loader: Any = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True, collate_fn=collator)
    _train(BertForMaskedLM(_hugging_face_shape(arguments.shape)), loader, arguments, pacer, texts=False)


def baseline_finetune(arguments: argparse.Namespace, pacer: Pacer) -> None:
    """BertForSequenceClassification on texts padded to 128."""
    import torch
    from transformers import (  # type: ignore[attr-defined]
        BertForSequenceClassification,
        BertTokenizerFast,
    )

    from tinylm.text.sources import load_task

    tokenizer = BertTokenizerFast.from_pretrained(str(arguments.data / "bert-base-uncased"))
    task = load_task("fewrel", data_dir=arguments.data)
    encoded = tokenizer(list(task.train.texts), padding="max_length", truncation=True, max_length=LENGTH)
    tensors = [torch.tensor(encoded[key]) for key in ("input_ids", "attention_mask")]
    data = torch.utils.data.TensorDataset(*tensors, torch.from_numpy(task.train.labels))

    def collate(examples: Any) -> dict[str, Any]:
        ids, mask, labels = (torch.stack(column) for column in zip(*examples, strict=True))
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True, collate_fn=collate)
    shape = _hugging_face_shape(arguments.shape, num_labels=len(task.labels))
    _train(BertForSequenceClassification(shape), loader, arguments, pacer, texts=True)


def _train(model: Any, loader: Any, arguments: argparse.Namespace, pacer: Pacer, *, texts: bool) -> None:
    import torch

    torch.manual_seed(0)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    bfloat16 = arguments.subject.endswith("bfloat16")
    endless = itertools.chain.from_iterable(itertools.repeat(loader))
    for batch in itertools.islice(endless, pacer.updates):
        with torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext():
            loss = model(**batch).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        pacer.after_update(len(batch["labels"]) if texts else int(batch["attention_mask"].sum()))


def _hugging_face_shape(name: str, **changes: Any) -> Any:
    from transformers import BertConfig

    from tinylm.model.config import preset

    shape = preset(name)
    return BertConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.positions,
        **changes,
    )


def tinylm_tokenise(arguments: argparse.Namespace, pacer: Pacer) -> None:
    """A whole pass: read parquet, leave duplicates out, encode, write the token file."""
    from tinylm.text.corpus import open_corpus
    from tinylm.tokens.encoding import tokenise
    from tinylm.tokens.loading import load_tokenizer

    tokenizer = load_tokenizer(arguments.data / "bert-base-uncased")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "corpus.parquet"
        _write_parquet(arguments.data, arguments.documents, file)
        for number in range(pacer.updates):
            tokens = tokenise(open_corpus(file), tokenizer, cache=Path(folder) / str(number))
            pacer.after_update(int(tokens.offsets[-1]) - len(tokens))


def baseline_tokenise(arguments: argparse.Namespace, pacer: Pacer) -> None:
    """`encode_batch` alone, on a list of strings in memory."""
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(str(arguments.data / "bert-base-uncased" / "vocab.txt"))
    documents = list(itertools.islice(_corpus(arguments.data, None).documents(), arguments.documents))
    tokens = sum(len(ids) for ids in tokenizer.encode_batch(documents, add_special_tokens=False))
    for _ in range(pacer.updates):
        encodings = tokenizer.encode_batch(documents, add_special_tokens=False)
        pacer.after_update(tokens)
        del encodings


def _corpus(data: Path, documents: int | None) -> Any:
    """The first documents of the Wikipedia openings, or all."""
    from tinylm.text.corpus import open_corpus

    corpus = open_corpus(data / "wikipedia" / "train.parquet")
    if documents is None:
        return corpus
    return open_corpus(list(itertools.islice(corpus.documents(), documents)))


def _write_parquet(data: Path, documents: int, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(target, pa.schema([("text", pa.string())])) as writer:
        for batch in _batches(_corpus(data, None).documents(), documents):
            writer.write_table(pa.table({"text": batch}))


def _batches(documents: Iterator[str], count: int) -> Iterator[list[str]]:
    few = itertools.islice(documents, count)
    while batch := list(itertools.islice(few, 1000)):
        yield batch


SUBJECTS = {
    "pretrain/tinylm": tinylm_pretrain,
    "pretrain/float32": baseline_pretrain,
    "pretrain/bfloat16": baseline_pretrain,
    "finetune/tinylm": tinylm_finetune,
    "finetune/float32": baseline_finetune,
    "finetune/bfloat16": baseline_finetune,
    "tokenise/tinylm": tinylm_tokenise,
    "tokenise/encode_batch": baseline_tokenise,
}


def main() -> None:
    """Be one subject, until the last round is over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--shape", default="bert-1")
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--warmup", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    arguments = parser.parse_args()
    pacer = Pacer(arguments.warmup, arguments.steps, arguments.rounds)
    SUBJECTS[arguments.subject](arguments, pacer)


if __name__ == "__main__":
    main()
