"""Texts that are trained on in windows: an update sees one of each, and those that fit are as they were."""

import numpy as np
import torch

from tinylm.model.heads import SequenceClassifier, initialise
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.windows import most_windows
from tinylm.train.classification import Classification, ClassificationData, WindowedTexts, class_logits
from tinylm.train.settings import FinetuneSettings

MOST_WINDOWS = most_windows("windows")


def job_of(kind, texts, tokenizer, shape, windows):
    model = SequenceClassifier(shape(), 3)
    initialise(model, 0)
    sequences, labels = EncodedTexts(texts, tokenizer, 16, windows), np.arange(len(texts)) % 3
    train, held = (kind(sequences, labels, part) for part in (np.arange(20), np.arange(20, len(texts))))
    return Classification("test", model, tokenizer, train, held, FinetuneSettings(batch_size=8))


def test_an_update_sees_a_window_of_each_text_and_repeats(documents, tokenizer, shape):
    long = [" ".join(documents[number : number + 4]) for number in range(30)]
    job, again = (job_of(WindowedTexts, long, tokenizer, shape, MOST_WINDOWS) for _ in range(2))
    seen = [job.batch(step).ids for step in range(9)]
    assert all(torch.equal(ids, again.batch(step).ids) for step, ids in enumerate(seen))
    assert {ids.shape[1] for ids in seen} == {16}
    # Three epochs of twenty texts, of which the same stretch is seldom drawn twice; the beginnings would be twenty.
    assert len({tuple(row) for ids in seen for row in ids.tolist()}) > 40
    assert job.validate()["loss"] > 0


def test_texts_that_fit_are_trained_on_and_measured_as_before(documents, tokenizer, shape):
    short = [text[:14] for text in documents[:30]]
    windows = job_of(WindowedTexts, short, tokenizer, shape, MOST_WINDOWS)
    plain = job_of(ClassificationData, short, tokenizer, shape, 1)
    for step in range(4):
        assert torch.equal(windows.batch(step).ids, plain.batch(step).ids)
    plain.model.load_state_dict(windows.model.state_dict())
    assert windows.validate() == plain.validate()
    with torch.inference_mode():
        assert torch.equal(windows._validation.logits(plain.model), class_logits(plain.model, plain._validation))
