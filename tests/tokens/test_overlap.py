"""Overlap of a corpus with a task, and the choice of documents by it."""

from itertools import compress

import numpy as np
import pytest

from tinylm.core.errors import InputError
from tinylm.text.corpus import open_corpus
from tinylm.tokens.encoding import tokenise
from tinylm.tokens.overlap import TaskTokens, count_tokens, overlap
from tinylm.tokens.selection import document_scores, select_documents, stored_documents


@pytest.fixture
def small(tiny, tmp_path):
    """Four documents of letters: `cat` and `dog` are pieces, all else is letters."""
    corpus = open_corpus(["cat dog", "a b a", "\x07", "cat cat a", "a b a", "z"])
    return corpus, tiny, tokenise(corpus, tiny, cache=tmp_path)


def ids(tokenizer, *pieces):
    return [tokenizer.encode([piece])[0][0] for piece in pieces]


def test_overlap_is_that_of_its_formulas(small):
    _, tokenizer, tokens = small
    task = TaskTokens.of(["cat cat cat", "cat x", "cat y x", "cat θ"], tokenizer)
    cat, x, y = ids(tokenizer, "cat", "x", "y")
    assert task.texts == 4 and task.counts[[cat, x, y]].tolist() == [6, 2, 1]
    assert task.texts_with[[cat, x, y]].tolist() == [4, 2, 1]
    assert tokenizer.unk_id not in task.types
    found = overlap(task, tokens.counts)
    types = task.types
    seen = np.isin(types, np.flatnonzero(tokens.counts))
    assert found.types == pytest.approx(seen.mean())
    assert found.frequency == pytest.approx(task.counts[types][seen].sum() / task.counts.sum())
    idf = np.log(4 / task.texts_with[types])
    assert found.idf == pytest.approx(idf[seen].sum() / idf.sum())
    assert found.idf < found.frequency, "cat is in every text, and says nothing about idf"


def test_overlap_of_one_text_by_idf_is_that_by_type(small):
    _, tokenizer, tokens = small
    found = overlap(TaskTokens.of(["cat dog x y"], tokenizer), tokens.counts)
    assert found.idf == found.types == 0.5


def test_overlap_refuses_a_task_without_tokens(tiny):
    with pytest.raises(InputError, match="no word that the vocabulary knows"):
        TaskTokens.of(["θθ"], tiny)


def test_count_tokens_counts_what_is_read_of_some_documents(small):
    _, tokenizer, tokens = small
    a, b, cat = ids(tokenizer, "a", "b", "cat")
    assert len(tokens) == 4 and tokens.meta.unreadable == 1 and tokens.meta.duplicates == 1
    counts = count_tokens(tokens, np.array([1, 2]))
    assert counts[[a, b, cat]].tolist() == [3, 1, 2] and counts.sum() == 6
    assert count_tokens(tokens, np.array([1, 2]), length=1)[[a, b, cat]].tolist() == [1, 0, 1]
    np.testing.assert_array_equal(count_tokens(tokens), tokens.counts)


def test_document_scores_sum_the_weights_of_what_is_read(small):
    _, tokenizer, tokens = small
    weights = np.zeros(tokenizer.vocab_size)
    weights[ids(tokenizer, "a", "cat")] = 1.0, 10.0
    np.testing.assert_allclose(document_scores(tokens, weights, None), [10, 2, 21, 0])
    np.testing.assert_allclose(document_scores(tokens, weights, 2), [10, 1, 20, 0])


def test_chosen_texts_are_those_of_the_token_file(small):
    corpus, tokenizer, tokens = small
    assert list(stored_documents(corpus, tokenizer, tokens)) == ["cat dog", "a b a", "cat cat a", "z"]
    assert list(compress(stored_documents(corpus, tokenizer, tokens), [True, False, False, True])) == ["cat dog", "z"]


@pytest.fixture(scope="module")
def halves(tokenizer, words, tmp_path_factory):
    """Documents of the first half of the words, of the second, and of both; of few and of many words."""
    generator = np.random.default_rng(3)
    pools = (words[:20], words[20:], words)
    texts = [" ".join(generator.choice(pools[i % 3], generator.integers(3, 40))) for i in range(600)]
    corpus = open_corpus(list(dict.fromkeys(texts)))
    return tokenise(corpus, tokenizer, cache=tmp_path_factory.mktemp("halves"))


def test_selected_documents_have_most_of_the_task(halves, tokenizer, words):
    task = TaskTokens.of([" ".join(words[:20])], tokenizer)
    of_task = task.counts > 0
    like = np.sort(np.random.default_rng(0).permutation(len(halves))[:100])
    shares, lengths = {}, {}
    for name, chosen in (
        ("most", select_documents(halves, task, 100, like=like)),
        ("random", like),
        ("least", select_documents(halves, task, 100, like=like, least=True)),
    ):
        assert len(chosen) == 100 and len(set(chosen.tolist())) == 100 and (np.diff(chosen) > 0).all()
        counts = count_tokens(halves, chosen)
        shares[name] = counts[of_task].sum() / counts.sum()
        lengths[name] = np.diff(halves.offsets)[chosen].mean()
    assert shares["most"] > 0.9
    assert 0.6 < shares["random"] < 0.8, "the words of the two halves share pieces"
    assert shares["least"] < 0.45
    assert max(lengths.values()) / min(lengths.values()) < 1.1, "the distribution of lengths is that of `like`"


def test_selection_covers_the_task_and_does_not_repeat_its_most_frequent_word(tiny, tmp_path):
    texts = [f"cat {'cat ' * i}" for i in range(1, 30)] + [f"dog {'b ' * i}" for i in range(1, 30)]
    tokens = tokenise(open_corpus(texts), tiny, cache=tmp_path)
    task = TaskTokens.of(["cat cat cat cat dog"], tiny)
    chosen = select_documents(tokens, task, 20)
    assert {0, 1} == {int(number >= 29) for number in chosen}


def test_selection_is_the_same_twice_and_takes_all_there_are(halves, tokenizer, words):
    task = TaskTokens.of([" ".join(words[:5])], tokenizer)
    first, again = (select_documents(halves, task, 50) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(select_documents(halves, task, len(halves)), np.arange(len(halves)))


@pytest.mark.parametrize("count", [0, 10_000])
def test_selection_refuses_numbers_that_cannot_be_had(halves, tokenizer, words, count):
    with pytest.raises(InputError, match=r"documents, not [\d,]+; ask for 1 to"):
        select_documents(halves, TaskTokens.of([words[0]], tokenizer), count)
