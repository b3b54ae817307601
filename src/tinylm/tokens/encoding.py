"""One pass over a corpus: text in, token file out, made once and found again."""

import errno
import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.core.files import cache_folder, new_folder
from tinylm.core.progress import Progress, Silent
from tinylm.text.corpus import Corpus
from tinylm.tokens.token_file import TokenFile, TokenWriter
from tinylm.tokens.wordpiece import Tokenizer

BATCH = 1000
"""Documents encoded at once."""

UNKNOWN = 0.01
"""Share of [UNK] among the tokens of a text from which on there is a warning."""

_FORMAT = 2


def tokenise(
    corpus: Corpus, tokenizer: Tokenizer, *, progress: Progress | None = None, cache: Path | None = None
) -> TokenFile:
    """Encode a corpus, or find it encoded.

    Documents that occur more than once are kept once. Memory does not grow with the text; the hashes that
    find the duplicates take 8 bytes a document.

    Args:
        corpus: the documents.
        tokenizer: the vocabulary.
        progress: receives documents and tokens a second.
        cache: the folder to keep the file in; tinylm's cache when None.

    Raises:
        InputError: the corpus cannot be read, has no word that the vocabulary can read, or the disk is full.
    """
    progress = progress or Silent()
    facts = f"{_FORMAT}/{corpus.fingerprint}/{tokenizer.fingerprint}"
    fingerprint = hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()
    folder = (cache or cache_folder()) / "tokens" / fingerprint
    if not folder.is_dir():
        try:
            with new_folder(folder) as temporary:
                _encode(corpus, tokenizer, fingerprint, temporary, progress)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise InputError(
                f"the disk of {folder.parent} is full; free some space, or set TINYLM_CACHE to another one"
            ) from error
    tokens = TokenFile.open(folder)
    if tokens.meta.unknown_share > UNKNOWN:
        progress.say(
            f"warning: {tokens.meta.unknown_share:.1%} of the tokens of {corpus.name} are [UNK], as the vocabulary is "
            "of other text"
        )
    return tokens


def unknown_share(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Share of [UNK] among the tokens of texts, or of some thousand of them evenly over all: 0 to 1."""
    ids, _ = tokenizer.encode(texts[:: max(1, len(texts) // BATCH)])
    return float(np.mean(ids == tokenizer.unk_id)) if len(ids) else 0.0


def _encode(corpus: Corpus, tokenizer: Tokenizer, fingerprint: str, folder: Path, progress: Progress) -> None:
    began = time.monotonic()
    seen = SeenTexts()
    progress.start("tokenising", None, "documents")
    with TokenWriter(folder, tokenizer.vocab_size, tokenizer.sep_id) as writer:
        batches = _counted(_batches(seen.new(corpus.documents())), writer)
        for ids, offsets in _encoded_batches(batches, tokenizer):
            writer.add(ids, offsets)
            rate = writer.tokens / (time.monotonic() - began)
            progress.update(writer.documents, f"{rate:,.0f} tokens/s")
        if writer.documents == 0:
            raise InputError(f"{corpus.name} has no word that the vocabulary can read; give other text")
        begins = tokenizer.begins_word
        meta = writer.finish(
            corpus=corpus.name,
            duplicates=seen.duplicates,
            pad_id=tokenizer.pad_id,
            cls_id=tokenizer.cls_id,
            fingerprint=fingerprint,
            unknown=int(writer.counts[tokenizer.unk_id]),
            words=None if begins is None else int(writer.counts[begins].sum()),
        )
    progress.finish()
    left_out = f"{meta.duplicates:,} duplicates and {meta.unreadable:,} without a readable word left out"
    progress.say(f"tokens: {meta.tokens:,} of {meta.documents:,} documents; {left_out}")
    of_words = "" if meta.words is None else f"{meta.pieces / meta.words:.2f} pieces a word, "
    progress.say(
        f"pieces: {meta.unknown_share:.2%} are [UNK], {of_words}{meta.characters / meta.pieces:.1f} characters a piece"
    )


def _counted(batches: Iterable[list[str]], writer: TokenWriter) -> Iterator[list[str]]:
    for batch in batches:
        writer.characters += sum(map(len, batch))
        yield batch


def _batches(documents: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(itertools.islice(documents, BATCH)):
        yield batch


def _encoded_batches(
    batches: Iterable[Sequence[str]], tokenizer: Tokenizer
) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]]:
    """Encode on another thread, so that the next batch is read and the last one written meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for batch in batches:
            coming = pool.submit(tokenizer.encode, batch)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()


class SeenTexts:
    """Recognises texts that have not occurred yet by 64-bit hashes, 8 bytes a text.

    Two different texts share a hash with a probability of about n^2 / 2^65: one in a million for six
    million texts.
    """

    _RECENT = 1 << 16

    def __init__(self) -> None:
        self._sorted = np.zeros(0, dtype=np.uint64)
        self._recent: set[int] = set()
        self.duplicates = 0

    def new(self, texts: Iterable[str]) -> Iterator[str]:
        """Those of `texts` that occur for the first time."""
        for text in texts:
            if self._add(text):
                yield text
            else:
                self.duplicates += 1

    def _add(self, text: str) -> bool:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        key = int.from_bytes(digest, "little")
        if key in self._recent or self._is_sorted_in(key):
            return False
        self._recent.add(key)
        if len(self._recent) == self._RECENT:
            recent = np.fromiter(self._recent, dtype=np.uint64, count=self._RECENT)
            self._sorted = np.sort(np.concatenate([self._sorted, recent]))
            self._recent.clear()
        return True

    def _is_sorted_in(self, key: int) -> bool:
        value = np.uint64(key)
        place = int(np.searchsorted(self._sorted, value))
        return place < len(self._sorted) and bool(self._sorted[place] == value)
