"""Marks in labelled texts become pieces, and so do characters that a vocabulary lacks; nothing else does."""

import numpy as np
import pytest
from transformers import AutoTokenizer
from vocabularies import sequences

import tinylm
from tinylm.model.layout import read_config
from tinylm.text.splits import Examples, Task
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.task_pieces import recurring_marks, recurring_unknown_characters
from tinylm.tokens.vocabulary import train_tokenizer
from tinylm.tokens.wordpiece import Tokenizer, wordpiece

NAMES = ["ada", "bob", "eve", "kim", "lee", "max"]
MARKED = [f"word{n} <h> ada </h> met [E2] bob [/E2]" for n in range(10)]


def test_marks_that_recur_are_found_the_most_frequent_first(tokenizer):
    texts = [*MARKED, *["<x> alone"] * 12, "<rare>", "<h>"]
    assert recurring_marks(tokenizer, texts)[:2] == ["<x>", "<h>"]
    assert set(recurring_marks(tokenizer, texts)) == {"<x>", "<h>", "</h>", "[e2]", "[/e2]"}


@pytest.mark.parametrize(
    "text", ["a < b and b > c", "<a href=x>", "[1] [2]", "[SEP] [UNK] [CLS]", "<>", f"<{'a' * 30}>", "plain"]
)
def test_what_is_no_mark_is_left_as_it_is(tokenizer, text):
    assert recurring_marks(tokenizer, [text] * 20) == []


def test_a_mark_in_fewer_than_a_hundredth_of_the_texts_is_left_as_it_is(tokenizer):
    assert recurring_marks(tokenizer, [*["<h> a"] * 9, *["b"] * 991]) == []
    assert recurring_marks(tokenizer, [*["<h> a"] * 10, *["b"] * 990]) == ["<h>"]


def test_marks_of_a_cased_vocabulary_keep_their_case():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "<", ">", "H"]
    cased = Tokenizer(wordpiece({piece: index for index, piece in enumerate(pieces)}, lowercase=False))
    assert recurring_marks(cased, ["<H> a"] * 6) == ["<H>"]
    assert sequences(cased.extended(["<H>"]), ["<H>a<h>"], 9) == [[2, 9, 5, 6, 1, 7, 3]]


@pytest.fixture(scope="module")
def letters():
    """A vocabulary of a to j, in which some letters never begin a word."""
    return train_tokenizer(["abcde fgh aijj ade bad", "a bead fade"] * 9, 60)


def test_characters_in_no_piece_are_found_the_most_frequent_first(letters):
    texts = [*["bad😂😂"] * 6, *["Ə fade"] * 3, *["əbad"] * 4, *["face ❤\ufe0f"] * 5, *["rare ☂"] * 4]
    assert recurring_unknown_characters(letters, texts) == ["ə", "😂", "❤"]


@pytest.mark.parametrize("text", ["ja ij", "BAD bead", "a\u200db", "\x07 \x85", "a\u3000b", "\ufe0f"])
def test_what_is_known_within_words_or_never_seen_is_no_piece(letters, text):
    assert recurring_unknown_characters(letters, [text] * 20) == []


def test_a_character_in_fewer_than_a_thousandth_of_the_texts_stays_unknown(letters):
    assert recurring_unknown_characters(letters, [*["a ☂"] * 9, *["bad"] * 9991]) == []
    assert recurring_unknown_characters(letters, [*["a ☂"] * 10, *["bad"] * 9990]) == ["☂"]


@pytest.mark.parametrize("text", ["bad ~", "bad ]"], ids=["in no token", "in a special token alone"])
def test_a_character_of_an_ascii_text_is_found_too(letters, text):
    assert recurring_unknown_characters(letters, [text] * 5) == [text[-1]]


def test_an_added_character_leaves_the_word_around_it_readable(letters, tmp_path):
    extended = letters.extended(["😂", "ə"])
    extended.save(tmp_path)
    first = letters.vocab_size
    for text, added in (("bad😂😂", [first, first]), ("Əbad", [first + 1]), ("fadəa", [first + 1])):
        (ids,) = sequences(extended, [text], 32)
        assert [index for index in ids if index >= first] == added and extended.unk_id not in ids
        assert letters.unk_id in sequences(letters, [text], 32)[0]
        assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == ids


def test_a_mark_is_one_piece_for_us_and_for_transformers(tokenizer, tmp_path):
    extended = tokenizer.extended(["<h>", "</h>"])
    extended.save(tmp_path)
    first = tokenizer.vocab_size
    for text in ("<h>a</h>b", "<H> a </H> b", "a <h> <h> b", "< h > a"):
        (ids,) = sequences(extended, [text], 32)
        assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == ids
        assert sequences(load_tokenizer(tmp_path), [text], 32) == [ids]
        assert sum(index >= first for index in ids) == text.lower().count("<h>") + text.lower().count("</h>")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Two members that have read who met whom, without marks and emoji."""
    return tinylm.pretrain(
        [f"{a} met {b} today" for a in NAMES for b in NAMES] * 2,
        output=tmp_path_factory.mktemp("met") / "base",
        members=2,
        preset="bert-1-w128",
        steps=2,
        precision="float32",
    )


def test_members_learn_which_entity_is_marked(base, tmp_path, heard):
    generator = np.random.default_rng(0)
    texts, labels = [], []
    for _ in range(240):
        one, other = generator.permutation(NAMES)[:2]
        label = int(generator.integers(2))
        texts.append(f"<h> {one} </h> met <t> {other} </t>" if label else f"<t> {one} </t> met <h> {other} </h>")
        labels.append(label)
    train, test = (Examples(tuple(texts[a:b]), np.array(labels[a:b])) for a, b in ((0, 200), (200, 240)))
    task = Task("who", ("second", "first"), train, test, "who")
    committee = tinylm.finetune(base, task, output=tmp_path / "model", steps=60, precision="float32", progress=heard)
    assert any("</h> </t> <h> <t>" in " ".join(sorted(line.split())) for line in heard.lines)
    grown = read_config(tmp_path / "model/member-0")[0].vocab_size - read_config(base.members[0])[0].vocab_size
    assert grown == 4
    assert np.mean(np.array(committee.predict(list(task.test.texts))) == np.array(task.labels)[task.test.labels]) > 0.9
    tinylm.export(tmp_path / "model", tmp_path / "artefact")
    exported = tinylm.load(tmp_path / "artefact")
    np.testing.assert_allclose(
        exported.predict_proba(list(task.test.texts)), committee.predict_proba(list(task.test.texts)), atol=1e-5
    )


def test_members_and_ngrams_learn_from_characters_that_the_corpus_did_not_have(base, tmp_path, heard):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 240)
    texts = [f"{generator.choice(NAMES)} met {generator.choice(NAMES)}{'☹😂'[label]}" for label in labels]
    train, test = (Examples(tuple(texts[a:b]), labels[a:b]) for a, b in ((0, 200), (200, 240)))
    task = Task("mood", ("sad", "glad"), train, test, "mood")
    committee = tinylm.finetune(base, task, output=tmp_path / "model", steps=60, precision="float32", progress=heard)
    (line,) = [line for line in heard.lines if "characters that the vocabulary lacks" in line]
    assert line.startswith("2 characters that the vocabulary lacks, each taken as one piece: ")
    assert sorted(line[-3:].split()) == ["☹", "😂"]
    truth = np.array(task.labels)[test.labels]
    assert np.mean(np.array(committee.predict(list(test.texts))) == truth) == 1.0
    for index in range(2):
        alone = tinylm.load(tmp_path / "model" / f"member-{index}").predict(list(test.texts))
        assert np.mean(np.array(alone) == truth) > 0.9
