"""Character n-grams of the pieces of a vocabulary."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from tinylm.text.corpus import open_corpus
from tinylm.tokens.characters import character_ngrams
from tinylm.tokens.vocabulary import train_tokenizer

ENGLISH = ["walking walks walked talking talks talked walk talk"] * 20
JAPANESE = ["東京都に住んでいます。京都に住んでいました。大阪府に行きたいです。"] * 20


@pytest.mark.parametrize("documents", [ENGLISH, JAPANESE], ids=["WordPiece", "Unigram"])
def test_they_are_runs_of_two_to_five_characters_of_a_piece(documents):
    tokenizer = train_tokenizer(open_corpus(documents).documents(), 60)
    found = character_ngrams(tokenizer)
    special = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id}
    texts = ["" if i in special else tokenizer.text_of_piece(i) for i in range(tokenizer.vocab_size)]
    reference = CountVectorizer(analyzer="char", ngram_range=(2, 5), lowercase=False).fit_transform(texts)
    assert found.shape == reference.shape and found.nnz > 30
    # The columns stand in another order.
    for ours, theirs in ((found, reference), (found @ found.T, reference @ reference.T)):
        np.testing.assert_array_equal(np.sort(ours.toarray(), axis=1), np.sort(theirs.toarray(), axis=1))


def test_a_piece_that_begins_a_word_has_a_blank_before_it():
    tokenizer = train_tokenizer(open_corpus(ENGLISH).documents(), 60)
    texts = {tokenizer.piece(i): tokenizer.text_of_piece(i) for i in range(tokenizer.vocab_size)}
    assert texts["walk"] == " walk"
    continuing = {piece: text for piece, text in texts.items() if piece.startswith("##")}
    assert continuing and all(text == piece[2:] for piece, text in continuing.items())
