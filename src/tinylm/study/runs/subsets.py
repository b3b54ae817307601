"""Which documents a member is pre-trained on: all, some at random, or some by their overlap with a task.

A thousandth part of a corpus is like another, so that documents are numbers in one token file of the whole corpus. Some
documents are kept out of all subsets: the loss of every member is measured on these.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.core.seeds import numpy_generator
from tinylm.tokens.overlap import TaskTokens, positions
from tinylm.tokens.selection import Documents, select_documents
from tinylm.tokens.token_file import TokenFile, entropy

Choice = Literal["random", "most", "least", "without"]

_HELD_OUT, _HELD_OUT_SHARE = 1000, 0.05


@dataclass(frozen=True)
class Subset:
    """Documents of a corpus; those of one seed are nested."""

    documents: int | None = None
    """How many; all that are not held out when None."""
    choice: Choice = "random"
    """`most` and `least` are by overlap with the task, and as long as random ones; `without` is random, with some
    of the task's token types replaced by [UNK]."""
    task: str | None = None
    """Name of the task, where the choice needs one."""
    share: float = 0.0
    """Of the task's token types that are replaced, 0 to 1."""

    @property
    def title(self) -> str:
        """A phrase for people."""
        documents = "all documents" if self.documents is None else f"{self.documents:,} documents"
        match self.choice:
            case "random":
                return documents
            case "without":
                return f"{documents} without {self.share:.0%} of the token types of {self.task}"
            case _:
                return f"{documents} with {self.choice} of {self.task}"

    def tokens(self, whole: TokenFile, unk_id: int, task: TaskTokens | None, seed: int) -> TokenFile:
        """The documents as a token file in memory.

        Args:
            whole: the corpus.
            unk_id: id of [UNK].
            task: tokens of the task, where the choice needs them.
            seed: of the random choice.

        Raises:
            InputError: there are fewer documents.
        """
        chosen = self._chosen(whole, task, seed)
        removed = np.zeros(0, np.int64)
        if self.choice == "without":
            assert task is not None
            order = numpy_generator(seed, "types kept out").permutation(len(task.types))
            removed = task.types[order[: round(self.share * len(order))]]
        return take_documents(whole, chosen, removed, unk_id)

    def require(self, whole: TokenFile) -> int:
        """The number of documents, which the corpus must have beside those that are held out.

        Raises:
            InputError: it has fewer.
        """
        rest = len(whole) - len(held_out_documents(whole))
        count = rest if self.documents is None else self.documents
        if not 2 <= count <= rest:
            raise InputError(
                f"a subset of {count:,} documents cannot be had of {whole.meta.corpus}, which has {rest:,} beside "
                f"those that are held out; ask for 2 to {rest:,}"
            )
        return count

    def _chosen(self, whole: TokenFile, task: TaskTokens | None, seed: int) -> Documents:
        count = self.require(whole)
        available = np.ones(len(whole), dtype=bool)
        available[held_out_documents(whole)] = False
        rest = np.flatnonzero(available)
        at_random = np.sort(rest[numpy_generator(seed, "subset").permutation(len(rest))[:count]])
        if self.choice in ("random", "without"):
            return at_random
        assert task is not None
        least = self.choice == "least"
        return select_documents(whole, task, count, least=least, like=at_random, available=available)


def held_out_documents(whole: TokenFile) -> Documents:
    """Documents that no member is pre-trained on: a thousand, or a twentieth where that is less."""
    count = max(2, min(_HELD_OUT, round(_HELD_OUT_SHARE * len(whole))))
    return np.sort(numpy_generator(0, "held-out documents").permutation(len(whole))[:count])


def take_documents(
    whole: TokenFile, documents: Documents, removed: npt.NDArray[np.int64] | None = None, unk_id: int = 0
) -> TokenFile:
    """Some documents of a token file, in memory, with some token types replaced by [UNK].

    Args:
        whole: the corpus.
        documents: (n,) which documents.
        removed: (types,) ids to replace; none when None.
        unk_id: id of [UNK].
    """
    begins, ends = np.asarray(whole.offsets[documents]), np.asarray(whole.offsets[documents + 1])
    ids = np.array(whole.ids[positions(begins, ends)])
    if removed is not None and len(removed):
        replaced = np.arange(whole.meta.vocab_size)
        replaced[removed] = unk_id
        ids = replaced[ids].astype(ids.dtype)
    offsets = np.concatenate([[0], np.cumsum(ends - begins)])
    counts = np.bincount(ids, minlength=whole.meta.vocab_size)
    counts[whole.meta.sep_id] -= len(documents)
    meta = replace(whole.meta, documents=len(documents), tokens=len(ids), entropy=entropy(counts))
    return TokenFile(whole.folder, meta, ids, offsets, counts)
