import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinylm.core.errors import MissingExtraError, TinyLMError
from tinylm.study.baselines import fast_text
from tinylm.study.baselines.fast_text import fasttext_classes, ranked_fits, train_on_lines
from tinylm.study.baselines.tfidf import choose, tfidf_svm, token_pattern
from tinylm.text.splits import Examples, Task

AG_NEWS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ag_news"


def test_tfidf_keeps_one_letter_words_and_marks():
    """fewrel-marked has `<h>` and `<t>` around its two entities: the label may depend on nothing else."""
    fillers = [f"{a} {b}" for a in ("red", "blue", "green", "grey") for b in ("stone", "leaf", "river")]
    texts = [text for filler in fillers for text in (f"<h> Paris </h> {filler}", f"<t> Paris </t> {filler}")]
    predicted = tfidf_svm(texts, [0, 1] * len(fillers), ["black sand <t> Paris </t>", "black sand <h> Paris </h>"])
    np.testing.assert_array_equal(predicted, [1, 0])
    letters = [text for filler in fillers for text in (f"vitamin c {filler}", f"vitamin d {filler}")]
    assert tfidf_svm(letters, [0, 1] * len(fillers), ["vitamin d", "vitamin c"]).tolist() == [1, 0]


def test_tfidf_learns_a_task_that_stop_words_decide():
    things = ("the capital", "a painter", "that bridge", "this battle", "an engine", "the treaty")
    texts = [f"{word} was {thing}" for thing in things for word in ("who", "where", "what")]
    predicted = tfidf_svm(texts, [0, 1, 2] * len(things), ["where was the tower", "who was the king"])
    np.testing.assert_array_equal(predicted, [1, 0])


def test_tfidf_leaves_stop_words_out_where_they_mislead():
    generator = np.random.default_rng(0)
    function_words = ["the", "and", "of", "from", "which", "there", "into", "would"]
    topics = [("goal", "match", "striker"), ("bank", "shares", "profit")]
    texts = [" ".join([*generator.choice(function_words, 12), generator.choice(topics[i % 2])]) for i in range(60)]
    chosen = choose(np.array(texts, dtype=object), np.arange(60) % 2, 0)
    assert chosen["stop_words"] == "english"


def test_tfidf_takes_characters_where_there_are_no_blanks():
    generator = np.random.default_rng(0)
    topics = [("猫咪", "小狗", "老虎"), ("股票", "银行", "利润")]
    fill = [chr(0x4E00 + i) for i in range(300)]
    words = ["".join([*generator.choice(fill, 6), generator.choice(topics[i % 2])]) for i in range(80)]
    texts = np.array(["".join([word, *generator.choice(fill, 6)]) for word in words], dtype=object)
    assert choose(texts, np.arange(80) % 2, 0)["features"] == "characters"
    assert choose(texts, np.arange(80) % 2, 0, ["words"])["features"] == "words"


def test_tfidf_leaves_words_of_other_languages_in():
    """English function words that mean something elsewhere: German "die" and "war", Dutch "of", "me" and "we"."""
    generator = np.random.default_rng(0)
    fill = ["katze", "haus", "baum", "straße", "himmel", "wasser", "garten", "fenster", "schule"]
    misleading = [" ".join([*generator.choice(fill, 8), generator.choice(["of", "me"])]) for _ in range(30)]
    texts = np.array([f"{text} {('tor', 'bank')[i % 2]}" for i, text in enumerate(misleading)], dtype=object)
    assert choose(texts, np.arange(30) % 2, 0, ["words"])["stop_words"] is None


def test_words_keep_their_vowel_signs_and_joiners():
    words = ["प्रिंटर", "किताब", "می\u200cخواهم", "เครื่องพิมพ์", "<h>", "a", "straße", "e\u0301te\u0301"]
    assert re.findall(token_pattern(), " ".join(words)) == words


def test_tfidf_with_fewer_texts_of_a_label_than_folds_still_learns():
    assert tfidf_svm(["red", "blue", "blue sky"], [0, 1, 1], ["red rose", "blue sea"]).tolist() == [0, 1]


def test_tfidf_separates_topics():
    sport = ["the keeper saved a late penalty", "two goals won the cup", "the striker scored a goal"]
    money = ["shares of the bank fell", "the bank raised its interest rate", "profits and shares rose"]
    predicted = tfidf_svm(sport + money, [0] * 3 + [1] * 3, ["a penalty goal", "bank profits fell"])
    np.testing.assert_array_equal(predicted, [0, 1])


def test_tfidf_names_a_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(MissingExtraError, match=r"tinylm\[train\]"):
        tfidf_svm(["a", "b"], [0, 1], ["a"])


@pytest.mark.skipif(not AG_NEWS.exists(), reason=f"AG News is not in {AG_NEWS}")
def test_tfidf_on_ag_news_with_250_texts_a_label():
    from pyarrow import parquet

    train, test = (parquet.read_table(AG_NEWS / f"{split}.parquet") for split in ("train", "test"))
    texts, labels = train["text"].to_pylist(), train["label"].to_numpy()
    generator = np.random.default_rng(0)
    chosen = np.concatenate(
        [generator.choice(np.flatnonzero(labels == label), 250, replace=False) for label in range(4)]
    )
    predicted = tfidf_svm([texts[i] for i in chosen], labels[chosen], test["text"].to_pylist())
    assert np.mean(predicted == test["label"].to_numpy()) > 0.82


def fake_fasttext(exploding):
    """A fastText whose models are their settings, and whose weights explode where `exploding` says so."""

    def train_supervised(**settings):
        assert Path(settings["input"]).read_text() == "__label__0 a\n__label__1 b\n"
        assert settings["thread"] >= 10, "with fewer it leaves a part of its vectors as it finds the memory"
        if exploding(settings):
            raise RuntimeError("Encountered NaN.")
        return settings

    return SimpleNamespace(train_supervised=train_supervised)


LINES = ["__label__0 a\n", "__label__1 b\n"]


def test_fasttext_has_the_settings_that_are_best_on_other_texts(monkeypatch):
    monkeypatch.setattr(fast_text, "require_fasttext", lambda: fake_fasttext(lambda settings: settings["lr"] == 1.0))

    def measure(settings):
        return settings["epoch"] - 10 * settings["wordNgrams"] + settings["maxn"]

    best, second, *_ = ranked_fits(LINES, measure, dim=7)
    assert best == (100, 0.5, 1, 3, 6) and second == (100, 0.5, 1, 0, 0)
    model = train_on_lines("task", LINES, [best._replace(lr=1.0), second, best], dim=7)
    assert (model["epoch"], model["maxn"], model["dim"]) == (100, 0, 7), "what explodes on all texts is left out"


def test_fasttext_reads_many_texts_less_often(monkeypatch):
    monkeypatch.setattr(fast_text, "require_fasttext", lambda: fake_fasttext(lambda _: False))
    monkeypatch.setattr(fast_text, "_MOST_READ", 100)
    assert {fit.epoch for fit in ranked_fits(LINES, lambda _: 0.0)} == {25}


def test_fasttext_is_cautious_where_its_weights_explode_and_gives_up_where_they_still_do(monkeypatch):
    monkeypatch.setattr(fast_text, "require_fasttext", lambda: fake_fasttext(lambda settings: settings["lr"] > 0.1))
    assert {fit.lr for fit in ranked_fits(LINES, lambda _: 0.0)} == {0.1}
    monkeypatch.setattr(fast_text, "require_fasttext", lambda: fake_fasttext(lambda _: True))
    assert ranked_fits(LINES, lambda _: 0.0) == []
    with pytest.raises(TinyLMError, match=r"fastText's weights exploded on task, also at a learning rate of 0\.1"):
        train_on_lines("task", LINES, [])


def test_fasttext_learns_which_words_say_the_label():
    pytest.importorskip("fasttext")
    texts = [f"{thing} {colour}" for thing in ("stone", "leaf", "river", "house") for colour in ("red", "blue")] * 5
    labels = np.array([0, 1] * 20)
    unseen = Examples(("sky blue", "sky red", "tree red"), np.array([1, 0, 0]))
    task = Task("colours", ("red", "blue"), Examples(tuple(texts), labels), unseen, "fingerprint")
    assert fasttext_classes(task, 0).tolist() == [1, 0, 0]
