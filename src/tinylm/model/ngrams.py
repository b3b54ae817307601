"""A linear classifier of n-grams as plain arrays: how it is stored, and what is computed of it without torch.

Its features are the unigrams and bigrams of token ids that its training texts had, weighed by tf (1, or sublinear: 1 +
log c for an n-gram that a window of the text has c times) and by idf, and perhaps the character n-grams within tokens.
It adds them up over positions, as `runtime/forward.py` does:

    logits = sum_t (u[t] s[t] + b[t] r[t]) / sqrt(sum_t (i[t]^2 s[t] + j[t]^2 r[t])) + bias

with u and b the weights of the token at t and of the bigram that ends there, times their idf, with i and j their idf,
and with s and r the shares 1 / c or (1 + log c) / c of these occurrences in the tf. A token's character n-grams are
always the same: their weights, times their idf, are added up into u[t] once and for all, and their squares into i[t]^2.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from tinylm.committee.mixing import TermFrequency
from tinylm.core.errors import InputError
from tinylm.core.files import new_file
from tinylm.model.operations import Array

NGRAMS = "ngrams.safetensors"
"""Its file, beside the members of a committee."""

_BEFORE_SUBLINEAR = np.ones((1025, 1), np.float32)
"""`NgramClassifier.share_of_tf` of files that have none: every occurrence counted alike, in up to 1,024 positions."""

_NORMS_BEFORE_CHARACTERS = "idf"
"""What `NgramTables.norms` are called in files of n-grams of tokens alone."""

NORM_EPSILON = 1e-12
"""Added to the sum of squares, for texts of which no n-gram is listed."""


def term_frequency(tf: TermFrequency, counts: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """What n-grams count for that a window has so many times, 1 or more: (n,) to (n,)."""
    return np.ones(len(counts)) if tf == "binary" else 1 + np.log(counts)


def share_of_tf(tf: TermFrequency, most: int) -> npt.NDArray[np.float64]:
    """(most + 1,): what each of 0, 1, ... `most` occurrences of an n-gram in a window adds to its tf."""
    counts = np.maximum(1, np.arange(most + 1))
    return np.asarray(term_frequency(tf, counts) / counts)


@dataclass(frozen=True, eq=False)
class NgramTables:
    """Listed n-grams of one order; row 0 of both tables is zero, and that of every n-gram that is not listed."""

    codes: npt.NDArray[np.int64]
    """(n,) rising: token ids, or codes of bigrams (`tokens.bigrams.bigram_codes`)."""
    weights: Array
    """(n + 1, classes), of one occurrence: times idf, those of its character n-grams added."""
    norms: Array
    """(n + 1, 1), of the features of one occurrence: its idf, where it has no others."""

    @classmethod
    def of(
        cls, codes: npt.NDArray[np.int64], weights: npt.NDArray[np.floating], norms: npt.NDArray[np.floating]
    ) -> "NgramTables":
        """Tables of n-grams: codes (n,), weights (n, classes), norms (n,)."""
        padded = (np.concatenate([np.zeros((1, x.shape[1])), x]) for x in (weights, norms[:, None]))
        return cls(codes, *(x.astype(np.float32) for x in padded))


@dataclass(frozen=True, eq=False)
class NgramClassifier:
    """A linear classifier of unigrams and bigrams."""

    unigrams: NgramTables
    bigrams: NgramTables
    bias: Array
    """(classes,)."""
    vocab_size: int
    """Of the vocabulary that the ids are of."""
    share_of_tf: Array
    """(n, 1): what each of c occurrences of an n-gram in one window counts for, by c, which is less than n."""

    @cached_property
    def unigram_rows(self) -> npt.NDArray[np.int64]:
        """Row of each token id in the tables of unigrams: (vocab_size,)."""
        rows = np.zeros(self.vocab_size, np.int64)
        rows[self.unigrams.codes] = np.arange(1, len(self.unigrams.codes) + 1)
        return rows

    def save(self, folder: Path) -> None:
        """Write it into an existing folder."""
        arrays = {"bias": self.bias, "vocab_size": np.array(self.vocab_size), "share_of_tf": self.share_of_tf}
        for order, tables in (("unigrams", self.unigrams), ("bigrams", self.bigrams)):
            arrays |= {f"{order}.{name}": np.ascontiguousarray(array) for name, array in vars(tables).items()}
        with new_file(folder / NGRAMS) as temporary:
            safetensors.numpy.save_file(arrays, temporary)

    @classmethod
    def load(cls, folder: Path, classes: int) -> "NgramClassifier":
        """Read it from a committee's folder.

        Args:
            folder: of the committee.
            classes: how many it has.

        Raises:
            InputError: it is missing, damaged, or of other classes.
        """
        path = folder / NGRAMS
        try:
            stored = safetensors.numpy.load_file(path)
            norms = "norms" if "unigrams.norms" in stored else _NORMS_BEFORE_CHARACTERS
            unigrams, bigrams = (
                NgramTables(*(stored[f"{order}.{name}"] for name in ("codes", "weights", norms)))
                for order in ("unigrams", "bigrams")
            )
            share_of_tf = stored.get("share_of_tf", _BEFORE_SUBLINEAR)
            read = cls(unigrams, bigrams, stored["bias"], int(stored["vocab_size"]), share_of_tf)
        except (OSError, safetensors.SafetensorError, KeyError, TypeError) as error:
            raise InputError(f"{path} cannot be read ({error}); train or copy the model again") from error
        fits = share_of_tf.shape[1:] == (1,) and all(
            tables.weights.shape == (len(tables.codes) + 1, classes)
            and tables.norms.shape == (len(tables.codes) + 1, 1)
            for tables in (unigrams, bigrams)
        )
        if not fits or read.bias.shape != (classes,) or unigrams.codes.max(initial=0) >= read.vocab_size:
            raise InputError(
                f"{path} does not fit the {classes} labels of its committee; train or copy the model again"
            )
        return read
