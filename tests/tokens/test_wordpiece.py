"""Vocabularies: agreement with transformers, files, determinism of training."""

import os
import subprocess
import sys
from itertools import islice, pairwise

import numpy as np
import pytest
from vocabularies import pieces_of

from tinylm.core.errors import InputError
from tinylm.text.corpus import open_corpus
from tinylm.tokens import loading as room
from tinylm.tokens import vocabulary
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.vocabulary import train_tokenizer
from tinylm.tokens.wordpiece import SPECIAL_TOKENS

SENTENCES = ("The cat sat.", "A dog, and a cat!", "", "naïve café 東京", "cats dogs")
TEXTS = [f"{sentence} {i}" for i in range(20) for sentence in SENTENCES]


def test_encode_gives_flat_ids_and_offsets(tiny):
    ids, offsets = tiny.encode(["cat dogs", "", "a?"])
    cat, dog = pieces_of(tiny).index("cat"), pieces_of(tiny).index("dog")
    expected = [cat, dog, pieces_of(tiny).index("##s"), pieces_of(tiny).index("a"), tiny.unk_id]
    assert (ids.tolist(), offsets.tolist()) == (expected, [0, 3, 3, 5])
    assert (ids.dtype, offsets.dtype) == (np.int32, np.int64)
    assert (tiny.pad_id, tiny.unk_id, tiny.cls_id, tiny.sep_id, tiny.mask_id) == (0, 1, 2, 3, 4)
    assert tiny.vocab_size == len(pieces_of(tiny)) == 59


def test_encode_cuts(tiny):
    ids, offsets = tiny.encode(["cat " * 100, "dog"], max_length=2)
    assert offsets.tolist() == [0, 2, 3]
    assert len(ids) == 3


def test_half_a_surrogate_pair_is_no_character(tiny):
    assert tiny.encode(["cat \ud800"])[0].tolist() == tiny.encode(["cat ?"])[0].tolist()


def test_encode_of_nothing(tiny):
    ids, offsets = tiny.encode([])
    assert (ids.tolist(), offsets.tolist()) == ([], [0])


def test_bert_base_uncased_agrees_with_transformers(data):
    transformers = pytest.importorskip("transformers")
    ours = load_tokenizer("bert-base-uncased", data_dir=data)
    theirs = transformers.BertTokenizer(str(data / "bert-base-uncased" / "vocab.txt"))
    texts = list(islice(open_corpus("wikipedia", data_dir=data).documents(), 300))
    ids, offsets = ours.encode(texts)
    expected = theirs(texts, add_special_tokens=False)["input_ids"]
    assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == expected
    assert (ours.vocab_size, ours.cls_id, ours.mask_id) == (30522, 101, 103)


def test_saved_folder_loads_here_and_in_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    trained = train_tokenizer(TEXTS, 100)
    trained.save(tmp_path / "model")
    again = load_tokenizer(tmp_path / "model")
    assert again.fingerprint == trained.fingerprint
    assert load_tokenizer(tmp_path / "model" / "tokenizer.json").fingerprint == trained.fingerprint
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    ids = trained.encode(["a cat [MASK]"])[0].tolist()
    assert theirs("a cat [MASK]")["input_ids"] == [trained.cls_id, *ids, trained.sep_id]
    assert ids[-1] == theirs.mask_token_id == trained.mask_id
    assert theirs.pad_token_id == trained.pad_id


def test_a_trained_vocabulary_begins_with_the_special_tokens(heard):
    trained = train_tokenizer(TEXTS, 60, progress=heard)
    assert pieces_of(trained)[:5] == [*SPECIAL_TOKENS]
    assert (trained.vocab_size, heard.lines) == (60, [])
    assert len(heard.stages) == 2


def test_too_little_text_is_said(heard):
    trained = train_tokenizer(["a cat", "cats"] * 3, 5000, progress=heard)
    assert trained.vocab_size < 5000
    assert heard.lines[0].startswith(f"vocabulary: 5,000 pieces requested, {trained.vocab_size} reached; no further")


def test_training_does_not_depend_on_the_order_of_documents():
    texts = [f"word{i % 7} thing{i % 11} {i}" for i in range(300)]
    assert train_tokenizer(texts, 90).fingerprint == train_tokenizer(texts[::-1], 90).fingerprint


def test_two_processes_train_the_same_vocabulary(data):
    script = (
        "import itertools, sys\n"
        "from tinylm.text.corpus import open_corpus\n"
        "from tinylm.tokens.vocabulary import train_tokenizer\n"
        "texts = itertools.islice(open_corpus('wikipedia', data_dir=sys.argv[1]).documents(), 1500)\n"
        "sys.stdout.write(train_tokenizer(texts, 6000).fingerprint)\n"
    )
    command = [sys.executable, "-c", script, str(data)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    prints = [subprocess.run(command, env=environment, check=True, capture_output=True).stdout for _ in range(2)]
    assert prints[0] == prints[1] != b""


def test_the_sample_is_bounded_and_the_same_in_any_order(monkeypatch):
    monkeypatch.setattr(vocabulary, "SAMPLE_CHARACTERS", 64 * 20)
    texts = [f"document number {i}" for i in range(1000)]
    kept = vocabulary._sample(texts, vocabulary.Silent())
    assert 64 * 5 < sum(map(len, kept)) <= 64 * 20
    assert kept == vocabulary._sample(texts[::-1], vocabulary.Silent())


def test_bad_vocabularies(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no text to train"):
        train_tokenizer([" "], 100)
    with pytest.raises(InputError, match="a vocabulary of 6 has no room"):
        train_tokenizer(TEXTS, 6)
    with pytest.raises(InputError, match=r"has neither tokenizer\.json nor vocab\.txt"):
        load_tokenizer(tmp_path)
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD]\n[UNK]\n[SEP]\nword\n")
    with pytest.raises(InputError, match=r"vocab\.txt has no \[CLS\], \[MASK\]"):
        load_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text("{")
    with pytest.raises(InputError, match=r"tokenizer\.json is no readable vocabulary"):
        load_tokenizer(path)
    path.write_text('{"model": {"type": "WordPiece"}}')
    with pytest.raises(InputError, match=r"tokenizer\.json is no readable vocabulary"):
        load_tokenizer(path)
    path.write_text('{"model": {"type": "BPE", "vocab": {}, "merges": []}}')
    with pytest.raises(InputError, match=r"tokenizer\.json is no WordPiece or Unigram vocabulary"):
        load_tokenizer(path)

    def unreachable(*_):
        raise ConnectionError

    monkeypatch.setattr(room.huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(InputError, match="bert-base-uncased is no vocabulary on this machine"):
        load_tokenizer("bert-base-uncased")
