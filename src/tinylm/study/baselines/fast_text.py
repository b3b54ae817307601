"""fastText (Joulin et al., 2017, arXiv 1607.01759) as a baseline, from nothing or with vectors of the members' corpus.

It is of the `bench` extra.
"""

# ruff: noqa: PLC0415

import random
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import MissingExtraError, TinyLMError
from tinylm.study.grid import run_name
from tinylm.text.corpus import open_corpus
from tinylm.text.splits import Examples, Task, held_out_rows

_THREADS = 12
"""fastText's own default. With fewer than ten it leaves a part of its first vectors as it finds the memory
(facebookresearch/fastText, issue 1061), which may be anything. Threads share vectors without locks, so that no two runs
agree to the bit."""

_WORD_VECTORS = {"model": "skipgram", "dim": 100, "epoch": 5, "minCount": 5, "verbose": 0}
_DIM = 50
_BUCKETS = 200_000
_HELD_OUT = 0.2
_MOST_READ = 1_000_000
"""Texts times epochs, above which more epochs are not tried."""


class FastTextFit(NamedTuple):
    """How fastText may be trained, by its own names."""

    epoch: int
    lr: float
    wordNgrams: int  # noqa: N815
    minn: int = 0
    maxn: int = 0


_FITS = tuple(FastTextFit(*chosen) for chosen in product((25, 100), (0.5, 1.0), (1, 2)))
_CAUTIOUS = FastTextFit(25, 0.1, 2)
"""Where weights explode by all others."""
_CHARACTERS = {"minn": 3, "maxn": 6}


def fasttext_classes(task: Task, seed: int, vectors: Path | None = None) -> npt.NDArray[np.int64]:
    """Predicted classes of the test part: shape (n,).

    Args:
        task: what to learn.
        seed: of the part held out for the choice of settings, and of the order of the training texts.
        vectors: of words, in fastText's text format; random ones when None.

    Raises:
        MissingExtraError: fasttext is not installed.
        TinyLMError: its weights exploded by all settings.
    """
    return predict_fasttext(fit_fasttext(task, seed, vectors), task.test.texts)


def predict_fasttext(model: Any, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Classes that a model of `fit_fasttext` predicts: shape (n,)."""
    # `predict` of fasttext needs a NumPy older than 2; what it calls does not.
    predicted = [model.f.predict(fasttext_line(text), 1, 0.0, "strict")[0][1] for text in texts]
    return np.array([int(label.removeprefix("__label__")) for label in predicted])


def fit_fasttext(task: Task, seed: int, vectors: Path | None = None) -> Any:
    """The model of `fasttext_classes`."""
    pretrained = {"dim": _DIM} if vectors is None else {"dim": _WORD_VECTORS["dim"], "pretrainedVectors": str(vectors)}
    held = held_out_rows(task.train, _HELD_OUT, seed)
    rest, held_out = (task.train.take(np.flatnonzero(part)) for part in (~held, held))

    def accuracy(model: Any) -> float:
        return float((predict_fasttext(model, held_out.texts) == held_out.labels).mean())

    ranked = ranked_fits(_lines(rest, seed), accuracy, **pretrained)
    return train_on_lines(task.name, _lines(task.train, seed), ranked, **pretrained)


def _lines(examples: Examples, seed: int) -> list[str]:
    return shuffled_lines(examples.labels[:, None], examples.texts, seed)


def shuffled_lines(labels: Iterable[npt.NDArray[np.integer]], texts: Sequence[str], seed: int) -> list[str]:
    """Texts in fastText's format, each with its labels, in a seeded order; those without one are left out."""
    lines = [
        " ".join(f"__label__{label}" for label in of_text) + " " + fasttext_line(text)
        for of_text, text in zip(labels, texts, strict=True)
        if len(of_text)
    ]
    # It trains in the order of the file: texts sorted by label cost it half of its accuracy on FewRel.
    random.Random(seed).shuffle(lines)
    return lines


def ranked_fits(lines: Sequence[str], measure: Callable[[Any], float], **settings: Any) -> list[FastTextFit]:
    """Settings by how good their models are, the best first: epochs, rate and word n-grams, then also characters'.

    Args:
        lines: to be trained on, in fastText's format.
        measure: how good a model is on other texts.
        settings: further ones of `fasttext.train_supervised`.

    Raises:
        MissingExtraError: fasttext is not installed.
    """
    measured = dict[FastTextFit, float]()

    def try_all(fits: Iterable[FastTextFit]) -> None:
        for fit in fits:
            if (model := _train(lines, fit, settings)) is not None:
                measured[fit] = measure(model)

    try_all(fit for fit in _FITS if fit.epoch == _FITS[0].epoch or fit.epoch * len(lines) <= _MOST_READ)
    if not measured:
        try_all([_CAUTIOUS])
    if measured:
        best = max(measured, key=lambda fit: measured[fit])
        try_all([best._replace(**_CHARACTERS)])
    return sorted(measured, key=lambda fit: -measured[fit])


def train_on_lines(name: str, lines: Sequence[str], fits: Iterable[FastTextFit], **settings: Any) -> Any:
    """A supervised model of lines in fastText's format, by the first settings by which its weights stay finite.

    Args:
        name: of the task.
        lines: to be trained on, in that order.
        fits: settings of `ranked_fits`.
        settings: further ones of `fasttext.train_supervised`.

    Raises:
        MissingExtraError: fasttext is not installed.
        TinyLMError: its weights exploded by all of them.
    """
    for fit in (*fits, _CAUTIOUS):
        if (model := _train(lines, fit, settings)) is not None:
            return model
    raise TinyLMError(f"fastText's weights exploded on {name}, also at a learning rate of {_CAUTIOUS.lr:g}")


def _train(lines: Sequence[str], fit: FastTextFit, settings: dict[str, Any]) -> Any | None:
    """A model, or None where its weights exploded."""
    fasttext = require_fasttext()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.txt"
        file.write_text("".join(lines), encoding="utf-8")
        try:
            return fasttext.train_supervised(
                input=str(file), thread=_THREADS, bucket=_BUCKETS, verbose=0, **fit._asdict(), **settings
            )
        # "Encountered NaN".
        except RuntimeError:
            return None


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
    model = fasttext.train_unsupervised(input=str(lines), thread=_THREADS, **_WORD_VECTORS)
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
