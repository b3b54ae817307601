"""Classifier: texts to probabilities, without torch."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from tinylm.committee.files import COMMITTEE
from tinylm.committee.voting import Voting
from tinylm.core.errors import InputError
from tinylm.core.files import new_folder
from tinylm.runtime.artefact import ARTEFACT, require_replaceable
from tinylm.runtime.backends import Backend
from tinylm.runtime.batches import CHUNK, Vocabulary, batches_by_length, padded, require_strings
from tinylm.runtime.encoder import Encoder
from tinylm.runtime.explaining import weigh_words
from tinylm.runtime.forward import NgramSums, Outputs
from tinylm.runtime.predictions import Explanation, LabelsPrediction, Prediction, Predictions
from tinylm.runtime.windows import Windows
from tinylm.tokens.windows import Long, most_windows, not_read

Array = npt.NDArray[np.float32]
Item = TypeVar("Item")
Answer = str | list[str] | None
"""A label, or None for an abstention; a list of labels where a text may have several."""


class Classifier:
    """A committee that classifies texts; `tinylm.load` opens one. It may be used from several threads at once.

    Each method that takes `texts` takes one text, a collection of them, or an iterator; it returns one result, an
    array or list of them, or an iterator that yields results as texts arrive, a few hundred at a time, in the order of
    the texts. A text that is longer than what its members read at once is read in windows, or cut, as `long` says.

    Attributes:
        labels: names of the classes.
        voting: how they vote.
        long: what is done with long texts.
        threads: processor threads that one call uses.
    """

    def __init__(
        self,
        backend: Backend,
        vocabularies: Sequence[Vocabulary],
        *,
        members: int,
        labels: tuple[str, ...],
        voting: Voting,
        long: Long,
        threads: int,
        batch_tokens: int,
        files: Sequence[Path],
    ) -> None:
        self._backend, self._vocabularies = backend, tuple(vocabularies)
        self._members, self._batch_tokens, self._files = members, batch_tokens, tuple(files)
        self.labels, self.voting, self.long, self.threads = labels, voting, long, threads
        self._thresholds = voting.least(len(labels)) if voting.several else None

    def __len__(self) -> int:
        return self._members

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self._files[0].parent

    def not_read(self, truncated: int, texts: int) -> str:
        """The sentence that so many of the texts go on after what is read of them; empty where none does."""
        return not_read(truncated, texts, min(v.positions for v in self._vocabularies), self.long)

    @overload
    def predict(self, texts: str, *, abstain: float | None = None) -> Answer: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, texts: Iterator[str], *, abstain: float | None = None) -> Iterator[Answer]: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, texts: Iterable[str], *, abstain: float | None = None) -> list[Answer]: ...
    def predict(self, texts: str | Iterable[str], *, abstain: float | None = None) -> Any:
        """The most probable label of each text; the list of its labels, perhaps empty, where it may have several.

        Args:
            texts: one, a collection, or an iterator.
            abstain: give None instead of a label that is less probable than this; never when None.

        Raises:
            InputError: a text is not a string, the threshold is not a probability, or it is given where a text may have
                several labels, each of which has a threshold already.
        """
        if self.voting.several:
            if abstain is not None:
                raise InputError("abstain is for one label a text; here a text has those that reach their thresholds")
            return self._predict(texts, lambda predictions: predictions.label_sets, list)
        if abstain is not None and not 0 <= abstain <= 1:
            raise InputError(f"abstain is {abstain}; it is a probability, from 0 to 1")
        least = 0.0 if abstain is None else abstain

        def labels(predictions: Predictions) -> list[str | None]:
            best = predictions.probabilities.argmax(1).tolist()
            probabilities = predictions.probabilities.max(1).tolist()
            return [
                self.labels[index] if probability >= least else None
                for index, probability in zip(best, probabilities, strict=True)
            ]

        return self._predict(texts, labels, list)

    @overload
    def predict_proba(self, texts: Iterator[str]) -> Iterator[Array]: ...  # type: ignore[overload-overlap]
    @overload
    def predict_proba(self, texts: str | Iterable[str]) -> Array: ...
    def predict_proba(self, texts: str | Iterable[str]) -> Any:
        """The committee's probabilities: (labels,) for one text, (texts, labels) for a collection.

        They sum to 1; where a text may have several labels, each has a probability of its own.
        """
        return self._predict(texts, lambda predictions: predictions.probabilities, np.asarray)

    @overload
    def votes(self, texts: Iterator[str]) -> Iterator[Array]: ...  # type: ignore[overload-overlap]
    @overload
    def votes(self, texts: str | Iterable[str]) -> Array: ...
    def votes(self, texts: str | Iterable[str]) -> Any:
        """Each member's probabilities: (members, labels) for one text, (members, texts, labels) for a collection."""
        return self._predict(
            texts, lambda predictions: predictions.votes.swapaxes(0, 1), lambda votes: votes.swapaxes(0, 1)
        )

    @overload
    def disagreement(self, texts: str) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def disagreement(self, texts: Iterator[str]) -> Iterator[float]: ...  # type: ignore[overload-overlap]
    @overload
    def disagreement(self, texts: Iterable[str]) -> npt.NDArray[np.float64]: ...
    def disagreement(self, texts: str | Iterable[str]) -> Any:
        """How far the members contradict each other, in nats; see `voting.disagreement`."""
        return self._predict(texts, lambda predictions: predictions.disagreement, np.asarray)

    @overload
    def encode(self, texts: Iterator[str], *, normalise: bool = False) -> Iterator[Array]: ...  # type: ignore[overload-overlap]
    @overload
    def encode(self, texts: str | Iterable[str], *, normalise: bool = False) -> Array: ...
    def encode(self, texts: str | Iterable[str], *, normalise: bool = False) -> Any:
        """The vectors of texts, those of the members side by side; see `Encoder.encode`.

        Raises:
            InputError: a text is not a string, or the model was exported by a version that gave no vectors.
        """
        return self.encoder.encode(texts, normalise=normalise)

    @property
    def encoder(self) -> Encoder:
        """What the members make of a text before they classify it.

        Raises:
            InputError: the model was exported by a version that gave no vectors.
        """
        return Encoder(
            self._backend,
            self._vocabularies,
            long=self.long,
            threads=self.threads,
            batch_tokens=self._batch_tokens,
        )

    def predictions(self, texts: Iterable[str]) -> Iterator[Prediction | LabelsPrediction]:
        """Predictions as a stream, in the order of the texts."""
        return self._stream(texts, Predictions.one_by_one)

    def predict_batch(self, texts: Sequence[str]) -> Predictions:
        """Probabilities, votes and token counts of some texts.

        Raises:
            InputError: a text is not a string.
        """
        none = np.empty((0, len(self.labels)), np.float32)
        no_votes, uncut = np.stack([none] * len(self)), np.empty(0, np.bool_)
        empty = Predictions(self.labels, none, no_votes, np.empty(0, np.int64), uncut, thresholds=self._thresholds)
        parts = [self._predict_chunk(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK)]
        return Predictions.concatenate(parts or [empty])

    def explain(self, text: str) -> Explanation:
        """The prediction for one text, and the attention of the [CLS] readout to its words."""
        windows = self._windows([text])
        # By themselves, so that none is padded.
        outputs = [self._forward(windows, (window,)) for window in range(len(windows.rows[0]))]
        predictions = self._to_predictions(windows, _in_order(outputs, np.arange(len(outputs))))
        return Explanation(predictions, *weigh_words(self._vocabularies, text, [part.attention for part in outputs]))

    def save(self, folder: str | Path) -> None:
        """Copy the model's files to a folder, whole or not at all.

        Raises:
            InputError: the folder holds something that is not a model, or the model's own files are gone.
        """
        folder = Path(folder)
        require_replaceable(folder, COMMITTEE, ARTEFACT)
        with new_folder(folder) as temporary:
            for source in self._files:
                if not source.exists():
                    raise InputError(f"{source} is gone, so the model cannot be copied from it; train it again")
                if source.is_dir():
                    shutil.copytree(source, temporary / source.name)
                else:
                    shutil.copy(source, temporary)

    def _predict(
        self, texts: str | Iterable[str], each: Callable[[Predictions], Any], together: Callable[[Any], Any]
    ) -> Any:
        if isinstance(texts, str):
            return each(self._predict_chunk([texts]))[0]
        if isinstance(texts, Iterator):
            return self._stream(texts, each)
        return together(each(self.predict_batch(list(texts))))

    def _stream(self, texts: Iterable[str], each: Callable[[Predictions], Iterable[Item]]) -> Iterator[Item]:
        iterator = iter(texts)
        while chunk := list(islice(iterator, CHUNK)):
            yield from each(self._predict_chunk(chunk))

    def _predict_chunk(self, texts: Sequence[str]) -> Predictions:
        windows = self._windows(texts)
        if len(windows.rows[0]) == 1:
            return self._to_predictions(windows, self._forward(windows, (0,)))
        order = np.argsort(windows.lengths, kind="stable")
        parts = [
            self._forward(windows, batch) for batch in batches_by_length(order, windows.lengths, self._batch_tokens)
        ]
        return self._to_predictions(windows, _in_order(parts, np.argsort(order)))

    def _forward(self, windows: Windows, chosen: Iterable[int]) -> Outputs[Array]:
        rows = list(chosen)
        return self._backend.forward([padded([of_vocabulary[row] for row in rows]) for of_vocabulary in windows.rows])

    def _to_predictions(self, windows: Windows, outputs: Outputs[Array]) -> Predictions:
        """Predictions from what a backend gave, which has the texts before the members."""
        probabilities, votes, ngrams = windows.pool(outputs, self.voting)
        votes = votes.swapaxes(0, 1)
        read = windows.tokens, windows.truncated
        return Predictions(self.labels, probabilities, votes, *read, ngrams, self._thresholds)

    def _windows(self, texts: Sequence[str]) -> Windows:
        require_strings(texts)
        return Windows.of(texts, self._vocabularies, most_windows(self.long), at_once=self.threads > 1)


def _in_order(parts: Sequence[Outputs[Array]], order: npt.NDArray[np.integer]) -> Outputs[Array]:
    """Outputs of several batches as one, in another order; the attention is left out."""
    ngrams = [part.ngrams for part in parts if part.ngrams is not None]
    sums = [part.ngram_sums for part in parts if part.ngram_sums is not None]
    return Outputs(
        np.concatenate([part.probabilities for part in parts])[order],
        np.concatenate([part.votes for part in parts])[order],
        (),
        np.concatenate(ngrams)[order] if ngrams else None,
        ngram_sums=NgramSums(
            np.concatenate([part.scores for part in sums])[order],
            np.concatenate([part.scale for part in sums])[order],
            sums[0].bias,
        )
        if sums
        else None,
    )
