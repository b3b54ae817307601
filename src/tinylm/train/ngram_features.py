"""Features of the linear n-gram classifier: tf-idf of unigrams and bigrams of tokens, and of characters within them.

tf-idf is as scikit-learn smooths it, with a tf of 1 or 1 + log c of an n-gram that occurs c times in a window, added up
over windows. With plain counts for a tf, long texts were classified worse by up to six points (docs/LOG.md, "What
recurs in a text").

The character n-grams within tokens may be features as well, each as often as its tokens count. So forms of a word that
are tokens of their own share what is learnt of their stem, and tokens that no training text has are not without any
(docs/LOG.md, "Characters within pieces").

Each text is divided by the root of the sum of tf (norm of the features of one occurrence)^2 over its n-grams. So a
graph can compute it position by position.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from tinylm.committee.mixing import NgramVote, TermFrequency
from tinylm.model.ngrams import NORM_EPSILON, NgramClassifier, NgramTables, share_of_tf, term_frequency
from tinylm.tokens.bigrams import bigram_codes, frequent_bigrams, look_up
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.sequences import Indices, in_chunks
from tinylm.train.finetune import BIGRAM_MIN_COUNT, MOST_BIGRAMS

_MOST_WEIGHTS = 20_000_000
"""One for each class and n-gram: 80 MB. Where there would be more, the rarest n-grams are left out, bigrams first."""


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """How often texts have the n-grams that count."""

    of_windows: sparse.csr_matrix
    """(windows, unigrams + bigrams) int64."""
    texts: sparse.csr_matrix
    """(texts, windows), 1 for the windows of a text."""

    def tf(self, how: TermFrequency) -> sparse.csr_matrix:
        """(texts, unigrams + bigrams): the term frequencies in its windows, added up."""
        frequencies = self.of_windows.astype(np.float64)
        frequencies.data = term_frequency(how, self.of_windows.data)
        return sparse.csr_matrix(self.texts @ frequencies)


@dataclass(frozen=True, eq=False)
class NgramFeatures:
    """Which n-grams of texts count, and for how much; labels have no part in it."""

    unigrams: Indices
    """(unigrams,) token ids, rising."""
    bigrams: Indices
    """(bigrams,) codes, rising; see `tokens.bigrams.bigram_codes`."""
    vocab_size: int
    """That the codes are made with."""
    idf: npt.NDArray[np.float64]
    """(unigrams + bigrams,); 0 for unigrams that count for their characters alone."""
    characters: sparse.csr_matrix
    """(unigrams + bigrams, character n-grams), what one occurrence adds to each; perhaps there are none."""

    @classmethod
    def of(
        cls, sequences: EncodedTexts, vocab_size: int, classes: int, characters: sparse.csr_matrix | None = None
    ) -> "NgramFeatures":
        """Those of some texts: all unigrams, the bigrams that recur, and perhaps character n-grams.

        In the training texts the squares of character n-grams add up to no more than those of unigrams and bigrams do.

        Args:
            sequences: the texts.
            vocab_size: of their vocabulary.
            classes: how many are to be told apart.
            characters: (vocab_size or fewer, character n-grams), see `tokens.characters`; of no count when None.
        """
        most = max(1, _MOST_WEIGHTS // classes)
        counts = np.zeros(vocab_size, np.int64)
        for ids, real in in_chunks(sequences):
            counts += np.bincount(ids[:, 1:-1][real[:, 2:]], minlength=vocab_size)
        known = counts > 0
        if characters is not None:
            known[: characters.shape[0]] |= characters.getnnz(axis=1) > 0
        by_count = np.argsort(-np.where(known, counts, -1), kind="stable")
        unigrams = np.sort(by_count[: min(most, np.count_nonzero(known))])
        left = min(MOST_BIGRAMS, most - len(unigrams))
        bigrams = frequent_bigrams(sequences, vocab_size, min_count=BIGRAM_MIN_COUNT, most=left)
        listed = len(unigrams) + len(bigrams)
        unweighted = cls(unigrams, bigrams, vocab_size, np.ones(listed), sparse.csr_matrix((listed, 0)))
        frequencies = unweighted.count(sequences).tf("sublinear")
        of_tokens = replace(unweighted, idf=_idf(frequencies))
        if characters is None:
            return of_tokens
        further = vocab_size + len(bigrams) - characters.shape[0]
        padded = sparse.vstack([characters, sparse.csr_matrix((further, characters.shape[1]))]).tocsr()
        rows = np.concatenate([unigrams, vocab_size + np.arange(len(bigrams))])
        return of_tokens._with_characters(padded[rows], frequencies, most)

    def count(self, sequences: EncodedTexts) -> NgramCounts:
        """Count them in texts."""
        rows, columns, windows = list[Indices](), list[Indices](), 0
        for ids, real in in_chunks(sequences):
            of_bigrams = look_up(self.bigrams, bigram_codes(ids, self.vocab_size))
            for found, before in ((look_up(self.unigrams, ids), 0), (of_bigrams, len(self.unigrams))):
                row, position = np.nonzero(real & (found > 0))
                rows.append(row + windows)
                columns.append(found[row, position] - 1 + before)
            windows += len(ids)
        row, column = np.concatenate(rows), np.concatenate(columns)
        counts = sparse.csr_matrix((np.ones(len(row), np.int64), (row, column)), shape=(windows, len(self.idf)))
        texts = np.repeat(np.arange(len(sequences.windows)), sequences.windows)
        return NgramCounts(counts, sparse.csr_matrix((np.ones(windows), (texts, np.arange(windows)))))

    def matrix(self, counts: NgramCounts, tf: TermFrequency) -> sparse.csr_matrix:
        """Texts in these features: (texts, unigrams + bigrams + character n-grams)."""
        frequencies = counts.tf(tf)
        norm = np.sqrt(frequencies @ self._squares + NORM_EPSILON)
        features = sparse.hstack([frequencies @ sparse.diags(self.idf), frequencies @ self.characters])
        return sparse.csr_matrix(sparse.diags(1 / norm) @ features)

    def classifier(
        self, weights: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], vote: NgramVote, positions: int
    ) -> NgramClassifier:
        """One for windows of at most so many positions; of the vote, temperature and tf count.

        Args:
            weights: (classes, unigrams + bigrams + character n-grams).
            bias: (classes,).
            vote: how it votes.
            positions: of a window.
        """
        of_tokens, of_characters = np.split(weights / vote.temperature, [len(self.idf)], axis=1)
        of_one = (of_tokens * self.idf).T + self.characters @ of_characters.T
        norms = np.sqrt(self._squares)
        counted = np.flatnonzero(norms[: len(self.unigrams)])
        of_bigrams = slice(len(self.unigrams), None)
        unigrams = NgramTables.of(self.unigrams[counted], of_one[counted], norms[counted])
        bigrams = NgramTables.of(self.bigrams, of_one[of_bigrams], norms[of_bigrams])
        shares = share_of_tf(vote.tf, positions)[:, None].astype(np.float32)
        return NgramClassifier(unigrams, bigrams, (bias / vote.temperature).astype(np.float32), self.vocab_size, shares)

    @property
    def _squares(self) -> npt.NDArray[np.float64]:
        """(unigrams + bigrams,) what one occurrence adds to the square of a text's norm."""
        return np.asarray(self.idf**2 + np.asarray(self.characters.power(2).sum(axis=1)).ravel())

    def _with_characters(
        self, characters: sparse.csr_matrix, frequencies: sparse.csr_matrix, most: int
    ) -> "NgramFeatures":
        """With character n-grams, counts of them (unigrams + bigrams, n), of those the `most` in the most texts."""
        frequencies_of_characters = frequencies @ characters
        texts_with = frequencies_of_characters.getnnz(axis=0)
        kept = np.sort(np.argsort(-texts_with, kind="stable")[: min(most, np.count_nonzero(texts_with))])
        weighed = characters[:, kept] @ sparse.diags(_idf(frequencies_of_characters[:, kept]))
        squares = np.asarray(weighed.power(2).sum(axis=1)).ravel()
        of_tokens, of_characters = (frequencies @ x for x in (self.idf**2, squares))
        share = min(1.0, np.sqrt(of_tokens.sum() / max(of_characters.sum(), NORM_EPSILON)))
        return replace(self, characters=sparse.csr_matrix(weighed * share))


def _idf(frequencies: sparse.csr_matrix) -> npt.NDArray[np.float64]:
    """(features,) of term frequencies (texts, features); 0 of what no text has."""
    texts_with = frequencies.getnnz(axis=0)
    return np.where(texts_with, np.log((1 + frequencies.shape[0]) / (1 + texts_with)) + 1, 0.0)
