"""Vocabularies in tests."""

import json
import tempfile
from pathlib import Path

from tinylm.tokens.wordpiece import TOKENIZER_FILE


def pieces_of(tokenizer):
    """The pieces of a vocabulary, in the order of their ids, from the file that it writes."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder))
        vocabulary = json.loads((Path(folder) / TOKENIZER_FILE).read_text(encoding="utf-8"))["model"]["vocab"]
    return sorted(vocabulary, key=vocabulary.__getitem__)


def sequences(tokenizer, texts, length):
    """`[CLS]`, the first tokens of each text, `[SEP]`: at most `length` ids each."""
    return [[tokenizer.cls_id, *ids, tokenizer.sep_id] for ids in tokenizer.encode_rows(texts, length - 2)[0]]
