"""What classifiers are trained on: words that are hidden are not there, and an answer may be shared by classes."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from vocabularies import sequences

from tinylm.model.front_ends.base import NoFrontEnd
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd
from tinylm.model.heads import SequenceClassifier
from tinylm.tokens.encoded import EncodedTexts
from tinylm.train.classification import (
    Classification,
    ClassificationData,
    class_logits,
    default_word_dropout,
    drop_words,
)
from tinylm.train.settings import FinetuneSettings

PAD, CLS, SEP = 0, 2, 3
SPECIAL = torch.tensor([PAD, CLS, SEP])
FRONT_ENDS = {
    "none": NoFrontEnd(),
    "conv2d": Conv2dFrontEnd(kernels=(3, 2), channels=2),
    "depthwise": DepthwiseFrontEnd(kernel=3),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows_of(lengths: list[int], vocabulary: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Random words between [CLS] and [SEP], padded, and where they are real."""
    column, length = torch.arange(max(lengths)), torch.tensor(lengths)[:, None]
    ids = torch.randint(5, vocabulary, (len(lengths), max(lengths)), generator=generator())
    ids[:, 0] = CLS
    ids[column == length - 1] = SEP
    ids[column >= length] = PAD
    return ids, column < length


@pytest.fixture
def classifier(shape, loud):
    """Makes classifiers to which every word matters."""
    return lambda **changes: loud(SequenceClassifier(shape(**changes), 3)).eval()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_about_a_share_of_the_words_is_hidden_and_nothing_else_changes(rate):
    ids, mask = rows_of([16, 9, 3, 2] * 1000)
    left = drop_words(ids, mask, SPECIAL, rate, generator())
    special = torch.isin(ids, torch.tensor([CLS, SEP]))
    assert left[special].all()
    assert not left[~mask].any()
    words = mask & ~special
    # 22,000 words: 0.02 is six deviations.
    assert 1 - left[words].double().mean().item() == pytest.approx(rate, abs=0.02)


def test_texts_without_padding_get_a_mask_of_their_own():
    ids, mask = rows_of([12] * 20)
    left = drop_words(ids, None, SPECIAL, 0.5, generator())
    assert torch.equal(left, drop_words(ids, mask, SPECIAL, 0.5, generator()))
    assert 0 < left[:, 1:-1].sum() < 200


def test_a_rate_of_zero_hides_nothing_and_draws_nothing():
    ids, mask = rows_of([8, 5])
    draws = generator()
    assert drop_words(ids, mask, SPECIAL, 0.0, draws) is mask
    assert drop_words(ids, None, SPECIAL, 0.0, draws) is None
    assert torch.equal(draws.get_state(), generator().get_state())


def test_the_generator_alone_decides():
    ids, mask = rows_of([16, 12] * 5)
    one, again, other = (drop_words(ids, mask, SPECIAL, 0.5, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_hidden_word_is_as_if_taken_out_and_its_place_left_empty(classifier, layers):
    model = classifier(layers=layers)
    ids, mask = rows_of([14, 9, 4, 2], model.config.vocab_size)
    left = drop_words(ids, mask, SPECIAL, 0.5, generator())
    assert left.sum() < mask.sum()
    with torch.no_grad():
        whole, shown = model(ids, mask), model(ids, left)
        for row, keep in enumerate(left):
            x = model.encoder.embeddings(ids[row : row + 1])[:, keep]
            for layer in model.encoder.layers:
                x = layer(x, None, None, 0.0, None)
            plain = model.classifier(torch.tanh(model.pooler(x[:, 0])))
            torch.testing.assert_close(shown[row : row + 1], plain, rtol=1e-5, atol=1e-5)
    assert (whole - shown).abs().max() > 0.01


@pytest.mark.parametrize("front_end", FRONT_ENDS.values(), ids=FRONT_ENDS.keys())
def test_what_a_hidden_word_was_makes_no_difference(classifier, front_end):
    model = classifier(layers=2, front_end=front_end)
    ids, mask = rows_of([14, 9, 4], model.config.vocab_size)
    left = drop_words(ids, mask, SPECIAL, 0.5, generator())
    hidden = mask & ~left
    assert hidden.any()
    others = torch.where(hidden, (ids + 7) % model.config.vocab_size, ids)
    with torch.no_grad():
        torch.testing.assert_close(model(others, left), model(ids, left), rtol=1e-5, atol=1e-5)
        assert (model(others, mask) - model(ids, mask)).abs().max() > 1e-3


CLASSES = torch.arange(60) % 3
SHARES = torch.randn(60, 3, generator=generator()).softmax(1)


@pytest.fixture
def make_job(classifier, documents, tokenizer):
    """Makes jobs to tell three classes."""

    def make(answers=CLASSES, *, texts=None, label_smoothing=0.0, **settings) -> Classification:
        train, held = (
            ClassificationData(EncodedTexts(part, tokenizer, 16), targets.numpy(), np.arange(len(part)))
            for part, targets in ((texts or documents[:60], answers), (documents[60:100], answers[:40]))
        )
        chosen = FinetuneSettings(**({"steps": 1, "batch_size": 8, "dropout": 0.0} | settings))
        return Classification("test", classifier(), tokenizer, train, held, chosen, label_smoothing=label_smoothing)

    return make


def loss_of(job) -> float:
    """Of the first update."""
    with torch.no_grad():
        (term,) = job.loss(job.model, job.batch(0), generator()).values()
        return term.item()


@pytest.mark.parametrize("answers", [CLASSES, SHARES], ids=["classes", "probabilities"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_the_loss_is_of_what_is_left_and_gives_all_classes_a_share(make_job, tokenizer, rate, smoothing, answers):
    job = make_job(answers, word_dropout=rate, label_smoothing=smoothing)
    batch = job.batch(0)
    special = torch.tensor([tokenizer.cls_id, tokenizer.sep_id])
    left = drop_words(batch.ids, batch.mask, special, rate, generator())
    with torch.no_grad():
        (loss,) = job.loss(job.model, batch, generator()).values()
        guesses = job.model(batch.ids, left).double().log_softmax(1)
    (targets,) = batch.targets.values()
    targets = functional.one_hot(targets, 3) if targets.ndim == 1 else targets
    expected = -((1 - smoothing) * (targets * guesses).sum() + smoothing * guesses.mean(1).sum()).item()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_validation_hides_no_word_and_smooths_no_target(make_job):
    plain, both = make_job(word_dropout=0.0, label_smoothing=0.0), make_job(word_dropout=0.9, label_smoothing=0.9)
    with torch.no_grad():
        assert plain.validate() == both.validate()
        batch = plain.batch(0)
        assert plain.loss(plain.model, batch, generator()) != both.loss(both.model, batch, generator())


def test_probabilities_of_one_class_each_are_classes(make_job):
    hard, soft = make_job(), make_job(functional.one_hot(CLASSES, 3).float())
    assert loss_of(soft) == pytest.approx(loss_of(hard), rel=1e-6)
    assert soft.validate() == pytest.approx(hard.validate(), rel=1e-6)


def test_a_text_keeps_its_own_probabilities(make_job, words, tokenizer):
    batch = make_job(SHARES[:40], texts=words).batch(3)
    shares = {tuple(sequences(tokenizer, [word], 16)[0]): share for word, share in zip(words, SHARES[:40], strict=True)}
    rows = [tuple(ids[ids != tokenizer.pad_id].tolist()) for ids in batch.ids]
    assert torch.equal(torch.stack([shares[row] for row in rows]), batch.targets["distillation"])


def test_validation_against_probabilities_asks_for_the_most_probable_class(make_job, documents, tokenizer):
    job = make_job(SHARES)
    with torch.no_grad():
        measured = job.validate()
        logits = class_logits(job.model, EncodedTexts(documents[60:100], tokenizer, 16)).double()
    agreed = [logit.argmax() == share.argmax() for logit, share in zip(logits, SHARES, strict=False)]
    assert 0 < measured["accuracy"] == sum(agreed) / 40 < 1
    assert measured["loss"] == pytest.approx(-(SHARES[:40] * logits.log_softmax(1)).sum(1).mean().item(), rel=1e-5)


# How many words are hidden


@pytest.mark.parametrize(
    ("texts", "rate"), [(1, 0.6), (4000, 0.6), (12_649, 0.4), (40_000, 0.2), (10**6, 0.2), (10**9, 0.2)]
)
def test_fewer_words_are_hidden_where_there_are_more_texts(texts, rate):
    assert default_word_dropout(texts) == pytest.approx(rate, abs=1e-5)


def test_the_share_that_is_hidden_never_rises_with_the_number_of_texts():
    rates = [default_word_dropout(texts) for texts in range(0, 60_000, 100)]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) > 300


@pytest.mark.parametrize("copies", [1, 500])
def test_a_share_that_is_given_is_taken_instead_of_the_default(make_job, words, copies):
    texts = words * copies
    answers = torch.arange(len(texts)) % 3
    default, same, none = (
        loss_of(make_job(answers, texts=texts, batch_size=40, word_dropout=given))
        for given in (None, default_word_dropout(len(texts)), 0.0)
    )
    assert default == same != none
