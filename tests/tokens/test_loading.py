"""A vocabulary is loaded as the model it belongs to was trained with it."""

import json

import pytest
from vocabularies import sequences

from tinylm.core.errors import InputError
from tinylm.tokens.loading import load_tokenizer

PIECES = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Cat", "cat", "##s", "Über", "Uber", "uber", "über"),
    *("中", "文", "##文", "中文", "!"),
]
TEXTS = ["Cat cats", "Über über Uber", "中文 cat!", "[MASK] Cat"]
CONFIGS = [
    {"do_lower_case": False},
    {"do_lower_case": True},
    {},
    {"do_lower_case": False, "strip_accents": True},
    {"do_lower_case": True, "strip_accents": False},
    {"do_lower_case": False, "tokenize_chinese_chars": False},
]


def write_vocabulary(folder, config):
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("given", ["folder", "file"])
def test_load_tokenizer_reads_vocab_txt_as_transformers_does(tmp_path, config, given):
    from transformers import BertTokenizer

    write_vocabulary(tmp_path, config)
    ours = load_tokenizer(tmp_path if given == "folder" else tmp_path / "vocab.txt")
    theirs = BertTokenizer(vocab=dict(zip(PIECES, range(len(PIECES)), strict=True)), **config)
    assert sequences(ours, TEXTS, 32) == [theirs(text)["input_ids"] for text in TEXTS]


def test_load_tokenizer_keeps_the_case_of_a_cased_vocabulary_when_saved(tmp_path):
    write_vocabulary(tmp_path, {"do_lower_case": False})
    load_tokenizer(tmp_path).save(tmp_path / "saved")
    saved = load_tokenizer(tmp_path / "saved")
    assert sequences(saved, ["Cat cat"], 8) == [[2, PIECES.index("Cat"), PIECES.index("cat"), 3]]


@pytest.mark.parametrize("text", ["{", "[]", '{"do_lower_case": "no"}'])
def test_load_tokenizer_refuses_a_malformed_tokenizer_config(tmp_path, text):
    write_vocabulary(tmp_path, None)
    (tmp_path / "tokenizer_config.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"tokenizer_config\.json"):
        load_tokenizer(tmp_path)
