"""fastText (Joulin et al., 2017, arXiv 1607.01759) as a baseline, from nothing or with vectors of the members' corpus.

It is of the `bench` extra.
"""

# ruff: noqa: PLC0415

import random
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import MissingExtraError, TinyLMError
from tinylm.study.grid import run_name
from tinylm.text.corpus import open_corpus
from tinylm.text.splits import Task

_WORD_VECTORS = {"model": "skipgram", "dim": 100, "epoch": 5, "minCount": 5, "verbose": 0}
_SUPERVISED = {"epoch": 25, "wordNgrams": 2, "bucket": 200_000, "verbose": 0}
_DIM = 50
_LEARNING_RATES = (0.5, 0.25, 0.1, 0.05)
"""The first at which its weights do not explode."""


def fasttext_classes(task: Task, seed: int, vectors: Path | None = None) -> npt.NDArray[np.int64]:
    """Predicted classes of the test part: shape (n,).

    Args:
        task: what to learn.
        seed: of the order of the training texts.
        vectors: of words, in fastText's text format; random ones when None.

    Raises:
        MissingExtraError: fasttext is not installed.
    """
    return predict_fasttext(fit_fasttext(task, seed, vectors), task.test.texts)


def predict_fasttext(model: Any, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Classes that a model of `fit_fasttext` predicts: shape (n,)."""
    # `predict` of fasttext needs a NumPy older than 2; what it calls does not.
    predicted = [model.f.predict(fasttext_line(text), 1, 0.0, "strict")[0][1] for text in texts]
    return np.array([int(label.removeprefix("__label__")) for label in predicted])


def fit_fasttext(task: Task, seed: int, vectors: Path | None = None) -> Any:
    """The model of `fasttext_classes`."""
    examples = zip(task.train.labels, task.train.texts, strict=True)
    lines = [f"__label__{label} {fasttext_line(text)}" for label, text in examples]
    # It trains in the order of the file: texts sorted by label cost it half of its accuracy on FewRel.
    random.Random(seed).shuffle(lines)
    pretrained = {"dim": _DIM} if vectors is None else {"dim": _WORD_VECTORS["dim"], "pretrainedVectors": str(vectors)}
    return train_on_lines(task.name, lines, **_SUPERVISED, **pretrained)


def train_on_lines(name: str, lines: Sequence[str], **settings: Any) -> Any:
    """A supervised model of lines in fastText's format, at the first learning rate at which its weights stay finite.

    Args:
        name: of the task.
        lines: to be trained on, in that order.
        settings: others of `fasttext.train_supervised`.

    Raises:
        MissingExtraError: fasttext is not installed.
        TinyLMError: its weights exploded at all of them.
    """
    fasttext = require_fasttext()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.txt"
        file.write_text("".join(lines), encoding="utf-8")
        for rate in _LEARNING_RATES:
            # "Encountered NaN": its weights exploded, as they did with one sample of DBPedia in three.
            with suppress(RuntimeError):
                # With one thread the same texts give the same model.
                return fasttext.train_supervised(input=str(file), thread=1, lr=rate, **settings)
    raise TinyLMError(f"fastText's weights exploded on {name}, also at a learning rate of {rate:g}")


@cache
def corpus_vectors(corpus: Path, folder: Path) -> Path:
    """Skip-gram vectors of all documents that the members are pre-trained on, in fastText's text format.

    Args:
        corpus: the documents.
        folder: where the vectors are kept.

    Raises:
        MissingExtraError: fasttext is not installed.
    """
    file = folder / run_name({"kind": "vectors", **_WORD_VECTORS}) / "vectors.vec"
    if file.is_file():
        return file
    fasttext = require_fasttext()
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = file.with_name("corpus.txt")
    with lines.open("w", encoding="utf-8") as out:
        out.writelines(map(fasttext_line, open_corpus(str(corpus)).documents()))
    model = fasttext.train_unsupervised(input=str(lines), thread=2, **_WORD_VECTORS)
    lines.unlink()
    words = model.get_words()
    partial_file = file.with_suffix(".partial")
    with partial_file.open("w", encoding="utf-8") as out:
        out.write(f"{len(words)} {model.get_dimension()}\n")
        out.writelines(f"{word} {' '.join(f'{x:.5g}' for x in model.get_word_vector(word))}\n" for word in words)
    partial_file.rename(file)
    return file


def fasttext_line(text: str) -> str:
    """Lower case and punctuation apart, as the examples of fastText prepare a text."""
    return re.sub(r"([^\w\s])", r" \1 ", text.lower()).replace("\n", " ") + "\n"


def require_fasttext() -> Any:
    """The module of fastText.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import fasttext
    except ImportError as error:
        raise MissingExtraError("bench", "The fastText baseline") from error
    return fasttext
