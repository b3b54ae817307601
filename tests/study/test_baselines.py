import sys
from pathlib import Path

import numpy as np
import pytest

from tinylm.core.errors import MissingExtraError
from tinylm.study.baselines import tfidf_svm

AG_NEWS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ag_news"


def test_words_and_word_pairs_tell_topics_apart():
    sport = ["the keeper saved a late penalty", "two goals won the cup", "the striker scored a goal"]
    money = ["shares of the bank fell", "the bank raised its interest rate", "profits and shares rose"]
    predicted = tfidf_svm(sport + money, [0] * 3 + [1] * 3, ["a penalty goal", "bank profits fell"])
    np.testing.assert_array_equal(predicted, [0, 1])


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(MissingExtraError, match=r"tinylm\[train\]"):
        tfidf_svm(["a", "b"], [0, 1], ["a"])


@pytest.mark.skipif(not AG_NEWS.exists(), reason=f"AG News is not in {AG_NEWS}")
def test_ag_news_with_a_thousand_texts_a_label():
    from pyarrow import parquet

    train, test = (parquet.read_table(AG_NEWS / f"{split}.parquet") for split in ("train", "test"))
    texts, labels = train["text"].to_pylist(), train["label"].to_numpy()
    generator = np.random.default_rng(0)
    chosen = np.concatenate(
        [generator.choice(np.flatnonzero(labels == label), 1000, replace=False) for label in range(4)]
    )
    predicted = tfidf_svm([texts[i] for i in chosen], labels[chosen], test["text"].to_pylist())
    assert np.mean(predicted == test["label"].to_numpy()) > 0.86
