"""Choosing the documents of a corpus that a task has most, or least, use for.

With p_t the share of token t in the task's texts and c_t its count in the chosen documents, documents are chosen so
that F = sum over t of p_t log(c_t + b_t) becomes large: the log-likelihood of the task's text under the unigram
distribution of what is chosen. Each further occurrence of a token is worth less, so that what is chosen covers the task
instead of repeating its most frequent words; such sums of concave functions of counts are submodular, and greedy choice
is near the best (Kirchhoff and Bilmes, EMNLP 2014). b_t are the counts of one round of average documents.

The choice is greedy by rounds: in each, every document is scored by its tokens' p_t / (c_t + b_t), and the best ones
are taken together. A round reads the token file once from disk: memory grows with the number of documents alone.
"""

from collections.abc import Iterable, Iterator
from itertools import compress, islice

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.core.progress import Progress, Silent
from tinylm.text.corpus import Corpus
from tinylm.tokens.encoding import BATCH, SeenTexts
from tinylm.tokens.overlap import TaskTokens, count_tokens, read_spans
from tinylm.tokens.token_file import TokenFile
from tinylm.tokens.wordpiece import Tokenizer

ROUNDS = 16
READ = 126
"""Tokens of a document that count, from its beginning: what fits into a sequence of 128."""

_DOCUMENTS_AT_ONCE = 16_384
_LENGTH_BINS = 20

Documents = npt.NDArray[np.int64]


def select_documents(
    tokens: TokenFile,
    task: TaskTokens,
    count: int,
    *,
    least: bool = False,
    like: Documents | None = None,
    available: npt.NDArray[np.bool_] | None = None,
    length: int | None = READ,
    progress: Progress | None = None,
) -> Documents:
    """Choose documents of a token file; see the module.

    Args:
        tokens: the corpus.
        task: what they are for.
        count: how many.
        least: choose those that have least of the task in place of most.
        like: (count,) documents whose distribution of lengths the choice gets; any lengths when None.
        available: (documents,) which ones may be chosen; all when None.
        length: tokens of a document that count; all when None.
        progress: receives the rounds.

    Returns:
        (count,) document numbers, rising.

    Raises:
        InputError: fewer than one document, or more than there are.
    """
    progress = progress or Silent()
    taken = np.zeros(len(tokens), dtype=bool) if available is None else ~available
    there = int(np.count_nonzero(~taken))
    if not 1 <= count <= there:
        raise InputError(f"the corpus has {there:,} documents, not {count:,}; ask for 1 to {there:,}")
    strata, wanted = _strata(tokens, count, like, length)
    share = task.weights("frequency")
    rounds = min(ROUNDS, count)
    average = tokens.counts * (count / rounds / len(tokens)) + 1.0
    chosen, counts = np.zeros(len(tokens), dtype=bool), np.zeros(len(share))
    progress.start("choosing documents", rounds, "rounds")
    for number in range(1, rounds + 1):
        scores = document_scores(tokens, share / (counts + average), length)
        scores = np.where(taken | chosen, -np.inf, -scores if least else scores)
        due = np.round(wanted * (number / rounds)).astype(np.int64) - np.bincount(strata[chosen], minlength=len(wanted))
        new = np.concatenate([_best(scores, np.flatnonzero(strata == s), n) for s, n in enumerate(due)])
        chosen[new] = True
        # What is avoided stays as bad however much of it is chosen.
        if not least:
            counts += count_tokens(tokens, np.sort(new), length)
        progress.update(number)
    progress.finish()
    return np.flatnonzero(chosen)


def document_scores(tokens: TokenFile, weights: npt.NDArray[np.float64], length: int | None) -> npt.NDArray[np.float64]:
    """The sum of the weights of each document's tokens.

    Args:
        tokens: the corpus.
        weights: (vocabulary,) of each token.
        length: tokens of a document that count; all when None.

    Returns:
        (documents,).
    """
    scores = np.empty(len(tokens))
    for start in range(0, len(tokens), _DOCUMENTS_AT_ONCE):
        stop = min(start + _DOCUMENTS_AT_ONCE, len(tokens))
        first = int(tokens.offsets[start])
        values = weights[tokens.ids[first : int(tokens.offsets[stop])]]
        sums = np.concatenate([[0.0], np.cumsum(values)])
        begins, ends = read_spans(tokens, np.arange(start, stop), length)
        scores[start:stop] = sums[ends - first] - sums[begins - first]
    return scores


def stored_documents(corpus: Corpus, tokenizer: Tokenizer, tokens: TokenFile) -> Iterator[str]:
    """The texts of a corpus that are in its token file, in the order of that file."""
    texts = SeenTexts().new(corpus.documents())
    return _readable(texts, tokenizer) if tokens.meta.unreadable else texts


def _readable(texts: Iterable[str], tokenizer: Tokenizer) -> Iterator[str]:
    stream = iter(texts)
    while batch := list(islice(stream, BATCH)):
        _, offsets = tokenizer.encode(batch)
        yield from compress(batch, np.diff(offsets) > 0)


def _strata(
    tokens: TokenFile, count: int, like: Documents | None, length: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The bin of each document's length (documents,), and how many documents each bin gives (bins,)."""
    if like is None:
        return np.zeros(len(tokens), np.int64), np.array([count])
    begins, ends = read_spans(tokens, np.arange(len(tokens)), length)
    lengths = ends - begins
    edges = np.unique(np.quantile(lengths[like], np.linspace(0, 1, _LENGTH_BINS + 1)[1:-1]))
    strata = np.searchsorted(edges, lengths, side="left")
    return strata, np.bincount(strata[like], minlength=len(edges) + 1)


def _best(scores: npt.NDArray[np.float64], among: Documents, count: int) -> Documents:
    """The `count` of highest score; of equal ones those that come first."""
    return among[np.argsort(-scores[among], kind="stable")[:count]]
