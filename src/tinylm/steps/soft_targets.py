"""Soft targets of distillation: what a committee's members say of every text, computed once and kept on disk.

They are the members' vote as it is before an n-gram classifier joins it and a temperature calibrates it.

They are appended to a file as they are computed, so that a run that is killed goes on where it was, and read back
memory-mapped: memory does not grow with the number of texts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinylm.committee.voting import Voting, vote
from tinylm.core.cores import usable_cores
from tinylm.core.progress import Progress
from tinylm.runtime.loading import load
from tinylm.text.corpus import Corpus
from tinylm.tokens.encoding import SeenTexts
from tinylm.tokens.wordpiece import Tokenizer

_FILE, _PARTIAL = "soft-targets.f32", "soft-targets.partial"
_CHUNK = 1024
"""Texts between two writes: a multiple of what the classifier batches, so that a resumed run has the same batches."""


@dataclass(frozen=True)
class SoftTargets:
    """Probabilities of the distinct texts of a corpus, in their order."""

    probabilities: npt.NDArray[np.float32]
    """(texts, classes), memory-mapped."""

    @classmethod
    def compute(cls, folder: Path, model: Path, labels: int, corpus: Corpus, progress: Progress) -> "SoftTargets":
        """Predict with the committee, from where an earlier run was; or open what is complete.

        Args:
            folder: where the file is kept.
            model: folder of the committee; opened only where something is left to predict.
            labels: how many classes it has.
            corpus: the texts; duplicates are left out.
            progress: receives the stage and how far it is.
        """
        complete, partial = folder / _FILE, folder / _PARTIAL
        if not complete.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _predict(partial, model, labels, corpus, progress)
            partial.rename(complete)
        return cls(np.memmap(complete, np.float32, "r").reshape(-1, labels))

    def of_readable(self, corpus: Corpus, tokenizer: Tokenizer) -> npt.NDArray[np.float32]:
        """Those of the texts in which a vocabulary finds a piece, which are the documents of its token file.

        Returns:
            (documents, classes), in memory; where the token file has every text, `probabilities` are these already.
        """
        readable = np.zeros(len(self.probabilities), dtype=bool)
        start = 0
        for texts in _chunks(SeenTexts().new(corpus.documents())):
            _, offsets = tokenizer.encode(texts)
            readable[start : start + len(texts)] = np.diff(offsets) > 0
            start += len(texts)
        return self.probabilities[readable]


def _predict(partial: Path, model: Path, labels: int, corpus: Corpus, progress: Progress) -> None:
    row = 4 * labels
    # A killed process may have left part of a chunk.
    done = partial.stat().st_size // (row * _CHUNK) * _CHUNK if partial.is_file() else 0
    committee = load(model, threads=usable_cores())
    plain = Voting(committee.voting.vote, problem_type=committee.voting.problem_type)
    texts = islice(SeenTexts().new(corpus.documents()), done, None)
    progress.start("predicting with the committee", None, "texts")
    with partial.open("ab") as file:
        file.truncate(done * row)
        for chunk in _chunks(texts):
            by_members = vote(committee.predict_batch(chunk).votes, plain)
            file.write(np.ascontiguousarray(by_members, dtype=np.float32).data)
            file.flush()
            done += len(chunk)
            progress.update(done)
    progress.finish()


def _chunks(texts: Iterator[str]) -> Iterator[Sequence[str]]:
    while chunk := list(islice(texts, _CHUNK)):
        yield chunk
