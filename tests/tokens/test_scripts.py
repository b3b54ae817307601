"""Text of any script: nothing is lost, little is unknown, and `transformers` gives the same ids."""

import os
import re
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from snippets import SNIPPETS, WITHOUT_BLANKS
from vocabularies import pieces_of

from tinylm.core.errors import InputError
from tinylm.text.corpus import open_corpus
from tinylm.tokens import vocabulary as room
from tinylm.tokens.encoding import tokenise, unknown_share
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.scripts import bits_of_a_word
from tinylm.tokens.vocabulary import corpus_tokenizer, train_tokenizer

CHARACTERS = {name: sorted({*text} - {*" .,،。、།"}) for name, text in SNIPPETS.items()}


def sentences(name: str) -> list[str]:
    """The snippet, and the same with its words in other orders."""
    words = SNIPPETS[name].split()
    generator = np.random.default_rng(0)
    return [SNIPPETS[name], *(" ".join(generator.permutation(words)) for _ in range(5))]


@pytest.fixture(scope="module")
def trained():
    return {name: train_tokenizer(sentences(name), 600) for name in SNIPPETS}


@pytest.fixture(scope="module")
def theirs(trained, tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    opened = {}
    for name in ("vietnamese", "hindi", "persian", "greek", "korean", *WITHOUT_BLANKS):
        folder = tmp_path_factory.mktemp(name)
        trained[name].save(folder)
        assert load_tokenizer(folder).fingerprint == trained[name].fingerprint
        opened[name] = transformers.AutoTokenizer.from_pretrained(folder)
    return opened


def words_of(name: str):
    letters = st.sampled_from(CHARACTERS[name])
    marks = st.sampled_from([*CHARACTERS[name], "\u0301", "\u0323", "\u200c", "\u200d"])
    return st.builds(str.__add__, letters, st.text(marks, max_size=8))


def texts_of(name: str):
    other = st.sampled_from([*"aZ09 \n\t!?😀é中カ", "\u200b", "\ufeff", "\u00ad", "[MASK]", "e\u0301", "İ", "ß"])
    return st.lists(st.one_of(words_of(name), other), max_size=12).map("".join)


def lowered(word: str) -> str:
    return unicodedata.normalize("NFC", word.lower())


@settings(max_examples=400)
@given(st.sampled_from(sorted(SNIPPETS)), st.data())
def test_a_word_is_folded_and_composed_and_nothing_of_it_is_lost(trained, name, draw):
    """So that no two words that differ in lower case and NFC are taken for one."""
    word = draw.draw(words_of(name))
    # `str.lower` looks past marks for the end of a Greek word.
    assume("Σ" not in word or word.isalpha())
    assert trained[name].normalised(word).replace(" ", "") == lowered(word)


@pytest.mark.parametrize("name", SNIPPETS)
def test_each_script_is_read(trained, name):
    tokenizer = trained[name]
    words = {lowered(word) for word in SNIPPETS[name].split()}
    assert len({tokenizer.normalised(word) for word in words}) == len(words)
    assert unknown_share(tokenizer, sentences(name)) < 0.001
    assert (tokenizer.begins_word is None) == (name in WITHOUT_BLANKS)


@settings(max_examples=300)
@given(st.data())
def test_transformers_gives_the_same_ids(trained, theirs, draw):
    name = draw.draw(st.sampled_from(sorted(theirs)))
    text = draw.draw(texts_of(name))
    ids, _ = trained[name].encode([text])
    assert theirs[name](text, add_special_tokens=False)["input_ids"] == ids.tolist()


@settings(max_examples=200)
@given(st.data())
def test_text_that_is_cut_begins_as_the_whole_does(trained, draw):
    name = draw.draw(st.sampled_from(["vietnamese", "hindi", "thai", "chinese"]))
    parts = st.sampled_from([*SNIPPETS[name].split(), "x" * 300, " " * 200, "\u00ad" * 99])
    text = " ".join(draw.draw(st.lists(parts, min_size=1, max_size=30)))
    length = draw.draw(st.integers(1, 40))
    tokenizer = trained[name]
    whole, _ = tokenizer.encode([text])
    assert tokenizer.encode([text], max_length=length)[0].tolist() == whole[:length].tolist()
    spans = tokenizer.word_spans(text, length + 2)
    assert len(spans) == min(length, len(whole))
    assert all(start < end for _, start, end in spans)


def test_a_piece_is_a_word_of_its_own_where_there_are_no_blanks(trained):
    spans = trained["thai"].word_spans(SNIPPETS["thai"], 64)
    assert [number for number, _, _ in spans] == list(range(len(spans))) and len(spans) > 5
    numbers = [number for number, _, _ in trained["hindi"].word_spans(SNIPPETS["hindi"], 64)]
    assert numbers == sorted(numbers) and max(numbers) >= SNIPPETS["hindi"].count(" ")


@pytest.mark.parametrize(("blank", "kind"), [(" ", "WordPiece"), ("", "Unigram")])
def test_a_text_of_thousands_of_characters_has_few_unknown_tokens(blank, kind):
    generator = np.random.default_rng(0)
    drawn = np.minimum(generator.zipf(1.3, 60_000), 3500) - 1 + ord("가")
    words = ["".join(map(chr, part)) for part in np.array_split(drawn, 20_000)]
    texts = [blank.join(words[i : i + 20]) for i in range(0, len(words), 20)]
    tokenizer = train_tokenizer(texts, 8000)
    assert unknown_share(tokenizer, texts) < 0.001
    assert (tokenizer.begins_word is None) == (kind == "Unigram")


def test_no_word_is_too_long_and_symbols_stand_alone(trained):
    ids, _ = trained["georgian"].encode(["ა" * 150])
    assert len(ids) >= 2 and trained["georgian"].unk_id not in ids
    tokenizer = trained["vietnamese"]
    (known, unknown), (alone, _) = tokenizer.encode(["nhà😀"])[0], tokenizer.encode(["nhà 😀"])[0]
    assert known == alone != tokenizer.unk_id and unknown == tokenizer.unk_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ΟΔΟΣ ΣΑΣ Σ", "οδος σας σ"),
        ("İI ẞß", "i̇i ßß"),
        ("a\u200cb\u200dc", "a\u200cb\u200dc"),
        ("\ufeffso\u00adft\x00\u200f", "soft"),
        ("☹\ufe0f❤\ufe0f", "☹❤"),
        ("e\u0301 J\u030c", "é ǰ"),
        ("ｶﾞ が 한국", "ｶﾞ が 한국"),
    ],
)
def test_folding_is_that_of_str_lower(trained, text, expected):
    assert trained["thai"].normalised(text) == expected == trained["greek"].normalised(text)


def test_case_and_accents_can_be_chosen(tmp_path):
    texts = [f"Der Bär bär Bar, Über über Uber {i}" for i in range(5)]
    kinds = {(case, marks): train_tokenizer(texts, 80, case=case, accents=marks) for case, marks in CHOICES}
    found = {kind: tokenizer.normalised("Bär が") for kind, tokenizer in kinds.items()}
    assert found == dict(zip(CHOICES, ["bär が", "bar か", "Bär が", "Bar か"], strict=True))
    assert {"Bär", "bär", "Bar"} <= {*pieces_of(kinds["keep", "keep"])}
    kinds["keep", "keep"].save(tmp_path)
    assert load_tokenizer(tmp_path).normalised("Bär") == "Bär"


CHOICES = [("fold", "keep"), ("fold", "strip"), ("keep", "keep"), ("keep", "strip")]


def test_the_vocabulary_of_a_corpus_is_kept_apart_by_how_it_was_made(monkeypatch):
    corpus = open_corpus(["Bär bär"] * 3)
    prints = {corpus_tokenizer(corpus, 60, case=case, accents=accents).fingerprint for case, accents in CHOICES}
    assert len(prints) == 4
    monkeypatch.setattr(room, "train_tokenizer", lambda *_, **__: pytest.fail("trained again"))
    assert {corpus_tokenizer(corpus, 60, case=case, accents=accents).fingerprint for case, accents in CHOICES} == prints


def test_two_processes_train_the_same_unigram_pieces():
    script = (
        "import sys\n"
        "import numpy as np\n"
        "from tinylm.tokens.vocabulary import train_tokenizer\n"
        "drawn = np.minimum(np.random.default_rng(0).zipf(1.3, 9000), 500) + 0xAC00\n"
        "texts = [''.join(map(chr, part)) for part in np.array_split(drawn, 300)]\n"
        "tokenizer = train_tokenizer(texts, 900)\n"
        "assert tokenizer.begins_word is None\n"
        "sys.stdout.write(tokenizer.fingerprint)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    prints = [
        subprocess.run(
            [sys.executable, "-c", script], env={**environment, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert prints[0] == prints[1] != b""


def test_bits_of_a_word():
    assert bits_of_a_word({}) == 0.0
    assert bits_of_a_word({"ab": 3, "ba": 1}) == pytest.approx(2.0)
    assert bits_of_a_word({"abcd": 5}) == pytest.approx(8.0)


def test_what_pieces_are_is_told_and_kept_and_too_many_unknown_ones_are_warned_of(trained, heard):
    corpus = open_corpus(["Con mèo ngủ", "mèo 猫", "chó"])
    meta = tokenise(corpus, trained["vietnamese"], progress=heard).meta
    assert (meta.unknown, meta.pieces, meta.words, meta.characters) == (1, 6, 6, 19)
    assert heard.lines[1] == "pieces: 16.67% are [UNK], 1.00 pieces a word, 3.2 characters a piece"
    assert re.fullmatch(
        r"warning: 16.7% of the tokens of .* are \[UNK\], as the vocabulary is of other text", heard.lines[2]
    )
    again = tokenise(corpus, trained["vietnamese"], progress=heard)
    assert again.meta == meta and len(heard.lines) == 4
    thai = tokenise(open_corpus(sentences("thai")), trained["thai"], progress=heard).meta
    assert thai.words is None and "a word" not in heard.lines[5]


def test_choices_that_are_none_are_refused():
    from tinylm.steps.pretrain import Pretrain
    from tinylm.text.corpus import CorpusSource

    with pytest.raises(InputError, match="case is 'upper'; give fold or keep"):
        Pretrain(corpus=CorpusSource("x"), case="upper")
    with pytest.raises(InputError, match="accents is 'drop'; give keep or strip"):
        Pretrain(corpus=CorpusSource("x"), accents="drop")
    with pytest.raises(
        InputError, match="the vocabulary bert-base-uncased stays as it is; leave out --case and --accents"
    ):
        Pretrain(corpus=CorpusSource("x"), vocabulary="bert-base-uncased", accents="strip")
