"""A vocabulary at work, of WordPiece or Unigram: texts come in as strings and go out as flat arrays of ids."""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from tinylm.core.errors import InputError
from tinylm.core.files import write_json, write_text

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""In the order of their ids in a trained vocabulary: 0 to 4."""

CHARACTERS_PER_TOKEN = 16
"""Text is cut to this many characters a token before it is encoded to a maximal length: English has about 5, Thai 7.
Where that gives fewer tokens than asked for, more of the text is read."""

Encode = Callable[[list[str]], list[tokenizers.Encoding]]

TOKENIZER_FILE, CONFIG_FILE = "tokenizer.json", "tokenizer_config.json"


class Tokenizer:
    """A WordPiece or Unigram vocabulary with BERT's five special tokens.

    Args:
        backend: normaliser, pre-tokeniser and vocabulary; gets the post-processor `[CLS] $A [SEP]`.
        source: where it comes from, for messages.

    Raises:
        InputError: a special token is not in the vocabulary.
    """

    def __init__(self, backend: tokenizers.Tokenizer, source: str = "the vocabulary") -> None:
        ids = {token: backend.token_to_id(token) for token in SPECIAL_TOKENS}
        missing = [token for token, index in ids.items() if index is None]
        if missing:
            raise InputError(f"{source} has no {', '.join(missing)}; give a vocabulary trained for BERT, or train one")
        self._ids = {token: index for token, index in ids.items() if index is not None}
        backend.no_padding()
        backend.no_truncation()
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", self.cls_id), ("[SEP]", self.sep_id)],
        )
        self._backend = backend

    @property
    def vocab_size(self) -> int:
        """Number of pieces, special tokens included."""
        return int(self._backend.get_vocab_size())

    @property
    def pad_id(self) -> int:
        """Id of `[PAD]`."""
        return self._ids["[PAD]"]

    @property
    def unk_id(self) -> int:
        """Id of `[UNK]`."""
        return self._ids["[UNK]"]

    @property
    def cls_id(self) -> int:
        """Id of `[CLS]`."""
        return self._ids["[CLS]"]

    @property
    def sep_id(self) -> int:
        """Id of `[SEP]`."""
        return self._ids["[SEP]"]

    @property
    def mask_id(self) -> int:
        """Id of `[MASK]`."""
        return self._ids["[MASK]"]

    @cached_property
    def begins_word(self) -> npt.NDArray[np.bool_] | None:
        """Whether each piece begins a word, shape (vocabulary,); None for Unigram, which knows no words."""
        prefix = self._continuing_prefix
        if prefix is None:
            return None
        return np.array([not self.piece(i).startswith(prefix) for i in range(self.vocab_size)])

    @cached_property
    def characters(self) -> frozenset[str]:
        """All that stand in a piece, special tokens apart."""
        ids = (i for i in range(self.vocab_size) if self.piece(i) not in SPECIAL_TOKENS)
        return frozenset(itertools.chain.from_iterable(map(self.text_of_piece, ids)))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that decides the ids: hex digits."""
        return hashlib.blake2b(self._backend.to_str().encode(), digest_size=16).hexdigest()

    def encode(
        self, texts: Sequence[str], max_length: int | None = None
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Encode texts, without special tokens.

        Args:
            texts: n of them.
            max_length: ids kept of each; all when None.

        Returns:
            The ids of all texts one after another, int32, and offsets, int64, shape (n + 1,): text i is
            `ids[offsets[i]:offsets[i + 1]]`.
        """
        rows = [encoding.ids[:max_length] for encoding in self._encode(texts, max_length)]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32, count=offsets[-1]), offsets

    def encode_rows(self, texts: Sequence[str], max_length: int) -> tuple[list[list[int]], list[bool]]:
        """The first `max_length` ids of each text, as `encode` finds them, and whether the text goes on after them."""
        found = [encoding.ids for encoding in self._encode(texts, max_length)]
        most = CHARACTERS_PER_TOKEN * max_length
        # A text that was cut has as many ids as are asked for, or more.
        truncated = [
            len(ids) >= (max_length if len(text) > most else max_length + 1)
            for text, ids in zip(texts, found, strict=True)
        ]
        return [ids[:max_length] for ids in found], truncated

    def word_spans(self, text: str, length: int) -> list[tuple[int, int, int]]:
        """For each token of a sequence, `[CLS]` and `[SEP]` left out: number of its word, first character, end."""
        encode = partial(self._backend.encode_batch, add_special_tokens=False)
        [encoding] = self._read([_utf8(text)], length - 2, encode)
        # Where a script has no blanks, a sentence may be one "word"; a piece comes nearest to what is meant.
        by_piece = self.begins_word is None
        spans = enumerate(zip(encoding.word_ids, encoding.offsets, strict=True))
        # A special token written in the text is a word by itself, and has no number.
        numbered = [(-1 if word is None else i if by_piece else word, *span) for i, (word, span) in spans]
        return numbered[: length - 2]

    def piece(self, index: int) -> str:
        """The piece that has an id, as it stands in the vocabulary: `##ing`."""
        return str(self._backend.id_to_token(index))

    def text_of_piece(self, index: int) -> str:
        """The text that a piece stands for, with a blank before it where it begins a word: `ing`, ` the`."""
        piece, prefix = self.piece(index), self._continuing_prefix
        if prefix is None:
            return piece
        return piece.removeprefix(prefix) if piece.startswith(prefix) else f" {piece}"

    @property
    def _continuing_prefix(self) -> str | None:
        """What begins the pieces that continue a word: `##`; None for Unigram."""
        model = self._backend.model
        return model.continuing_subword_prefix if isinstance(model, models.WordPiece) else None

    def _encode(self, texts: Sequence[str], max_length: int | None) -> list[tokenizers.Encoding]:
        encode = partial(self._backend.encode_batch_fast, add_special_tokens=False)
        try:
            return self._read(texts, max_length, encode)
        except (TypeError, UnicodeEncodeError):
            return self._read([_utf8(text) for text in texts], max_length, encode)

    def _read(self, texts: Sequence[str], max_length: int | None, encode: Encode) -> list[tokenizers.Encoding]:
        """Encode so much of each text as gives `max_length` tokens, and more."""
        if max_length is None:
            return encode(list(texts))
        characters = CHARACTERS_PER_TOKEN * max_length
        if max(map(len, texts), default=0) <= characters:
            return encode(list(texts))
        encodings = encode([_beginning(text, characters) for text in texts])
        while short := [i for i, text in enumerate(texts) if len(text) > characters and len(encodings[i]) < max_length]:
            characters *= 4
            for i, encoding in zip(short, encode([_beginning(texts[i], characters) for i in short]), strict=True):
                encodings[i] = encoding
        return encodings

    def normalised(self, text: str) -> str:
        """A text as it is before it is parted into words: in lower case, perhaps."""
        return str(self._backend.normalizer.normalize_str(text)) if self._backend.normalizer else text

    def extended(self, pieces: Sequence[str]) -> "Tokenizer":
        """This vocabulary with further pieces, found before words are parted; what it has already is left as it is.

        Args:
            pieces: as they stand in texts once these are normalised.
        """
        backend = tokenizers.Tokenizer.from_str(self._backend.to_str())
        backend.add_tokens([tokenizers.AddedToken(piece, normalized=True) for piece in pieces])
        return Tokenizer(backend)

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which `transformers.AutoTokenizer` loads."""
        write_text(folder / TOKENIZER_FILE, self._backend.to_str())
        tokens = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL_TOKENS}
        write_json(
            folder / CONFIG_FILE,
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
                **tokens,
            },
        )


def _beginning(text: str, characters: int) -> str:
    """So much of a text at most, up to the last blank where there is one near the end, so that no word is cut."""
    if len(text) <= characters:
        return text
    blank = text.rfind(" ", characters - characters // 4, characters)
    return text[: blank if blank > 0 else characters]


def _utf8(text: str) -> str:
    """The text with what has no UTF-8 replaced: JSON can escape half a surrogate pair, which is refused as no text."""
    return text.encode("utf-8", "replace").decode()


def wordpiece(
    vocabulary: dict[str, int],
    *,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    split_chinese: bool = True,
) -> tokenizers.Tokenizer:
    """BERT's normaliser, pre-tokeniser and decoder around a WordPiece vocabulary.

    Args:
        vocabulary: ids by piece.
        lowercase: whether text is lower-cased; a cased BERT has False.
        strip_accents: whether accents are removed; as `lowercase` when None.
        split_chinese: whether each Chinese character is a word.
    """
    backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=split_chinese, strip_accents=strip_accents, lowercase=lowercase
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.add_special_tokens([token for token in SPECIAL_TOKENS if token in vocabulary])
    return backend
