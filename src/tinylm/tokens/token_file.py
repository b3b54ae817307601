"""Token ids of a corpus in one memory-mapped file.

`tokens.bin` holds the ids, every document followed by `[SEP]`; `offsets.npy` where each document begins;
`counts.npy` how often each piece occurs; `meta.json` the rest.
"""

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tinylm.core.files import write_json

_IDS, _OFFSETS, _COUNTS, _META = "tokens.bin", "offsets.npy", "counts.npy", "meta.json"


@dataclass(frozen=True)
class TokenMeta:
    """What is known of a token file besides the ids.

    Attributes:
        corpus: the corpus's name.
        documents: those in the file.
        duplicates: documents left out because their text had occurred.
        unreadable: documents left out because the vocabulary finds no piece in them (control characters).
        tokens: ids in the file, one `[SEP]` a document included.
        entropy: of the pieces, `[SEP]` left out, in nats: the loss of a model that knows frequencies alone.
        vocab_size: pieces in the vocabulary.
        pad_id: id of `[PAD]`.
        cls_id: id of `[CLS]`.
        sep_id: id of `[SEP]`.
        fingerprint: of the corpus and the vocabulary.
        characters: of the documents, blanks included.
        unknown: ids that are `[UNK]`.
        words: pieces that begin a word; None where the vocabulary knows no words.
    """

    corpus: str
    documents: int
    duplicates: int
    unreadable: int
    tokens: int
    entropy: float
    vocab_size: int
    pad_id: int
    cls_id: int
    sep_id: int
    fingerprint: str
    characters: int = 0
    unknown: int = 0
    words: int | None = None

    @property
    def pieces(self) -> int:
        """Ids in the file without the added `[SEP]`."""
        return self.tokens - self.documents

    @property
    def unknown_share(self) -> float:
        """Of the pieces, 0 to 1."""
        return self.unknown / self.pieces


@dataclass(frozen=True)
class TokenFile:
    """A token file, opened for reading; nothing of it is in memory until it is read.

    Attributes:
        folder: where it is.
        meta: counts and special ids.
        ids: shape (tokens,), uint16 or uint32, memory-mapped.
        offsets: shape (documents + 1,), int64, memory-mapped; document i with its `[SEP]` is
            `ids[offsets[i]:offsets[i + 1]]`.
        counts: shape (vocab_size,), int64; the added `[SEP]` are not counted.
    """

    folder: Path
    meta: TokenMeta
    ids: npt.NDArray[np.unsignedinteger[Any]]
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> "TokenFile":
        """Open the token file in `folder`."""
        meta = TokenMeta(**json.loads((folder / _META).read_text(encoding="utf-8")))
        return cls(
            folder,
            meta,
            np.memmap(folder / _IDS, dtype=id_dtype(meta.vocab_size), mode="r"),
            np.load(folder / _OFFSETS, mmap_mode="r"),
            np.load(folder / _COUNTS),
        )

    def __len__(self) -> int:
        return self.meta.documents

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process opens the file for itself.
        return TokenFile.open, (self.folder,)


def id_dtype(vocab_size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest type that holds the ids of a vocabulary."""
    return np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")


class TokenWriter:
    """Writes a token file batch by batch; a context manager, complete once `finish` was called.

    Args:
        folder: where to.
        vocab_size: pieces in the vocabulary.
        sep_id: what ends each document.
    """

    def __init__(self, folder: Path, vocab_size: int, sep_id: int) -> None:
        self._folder = folder
        self._dtype = id_dtype(vocab_size)
        self._sep_id = sep_id
        self._counts = np.zeros(vocab_size, dtype=np.int64)
        self.documents = 0
        self.tokens = 0
        self.unreadable = 0
        self.characters = 0

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """How often each piece occurred so far, shape (vocab_size,)."""
        return self._counts

    def __enter__(self) -> "TokenWriter":
        self._ids: BinaryIO = (self._folder / _IDS).open("wb")
        self._raw_offsets: BinaryIO = (self._folder / "offsets.raw").open("w+b")
        self._raw_offsets.write(bytes(8))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ids.close()
        self._raw_offsets.close()

    def add(self, ids: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64]) -> None:
        """Append documents as `Tokenizer.encode` gives them."""
        ends = offsets[1:][np.diff(offsets) > 0]
        self.unreadable += len(offsets) - 1 - len(ends)
        self._counts += np.bincount(ids, minlength=len(self._counts))
        self._ids.write(np.insert(ids, ends, self._sep_id).astype(self._dtype).data)
        self._raw_offsets.write((ends + np.arange(1, len(ends) + 1) + self.tokens).astype("<i8").data)
        self.documents += len(ends)
        self.tokens += len(ids) + len(ends)

    def finish(self, **facts: Any) -> TokenMeta:
        """Write all but the ids; `facts` are the fields of `TokenMeta` that the writer does not know."""
        with (self._folder / _OFFSETS).open("wb") as file:
            header = {"descr": "<i8", "fortran_order": False, "shape": (self.documents + 1,)}
            np.lib.format.write_array_header_1_0(file, header)
            self._raw_offsets.seek(0)
            shutil.copyfileobj(self._raw_offsets, file)
        (self._folder / "offsets.raw").unlink()
        np.save(self._folder / _COUNTS, self._counts)
        meta = TokenMeta(
            documents=self.documents,
            tokens=self.tokens,
            unreadable=self.unreadable,
            characters=self.characters,
            entropy=entropy(self._counts),
            vocab_size=len(self._counts),
            sep_id=self._sep_id,
            **facts,
        )
        write_json(self._folder / _META, asdict(meta))
        return meta


def entropy(counts: npt.NDArray[np.int64]) -> float:
    """Entropy in nats of the distribution that `counts` are drawn from, by plug-in."""
    seen = counts[counts > 0]
    share = seen / seen.sum()
    return -math.fsum(share * np.log(share)) if len(seen) > 1 else 0.0
