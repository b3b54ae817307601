"""What pre-training asks of a model: each loss is what its definition says, alone, mixed, whole or in parts."""

import math

import numpy as np
import pytest
import torch

from tinylm.model.heads import IGNORED, MaskedLanguageModel, SampledVocabulary, initialise
from tinylm.tokens.sequences import Packed, Pairs, Truncated, split_documents
from tinylm.train.pretrain import Pretraining, word_weights
from tinylm.train.settings import PretrainSettings

VIEWS = {"pairs": Pairs, "packed": Packed, "truncated": Truncated}
NOTHING = {"mlm_weight": 0.0, "bow_weight": 0.0, "context_bow_weight": 0.0, "infonce_weight": 0.0}
# Weights that are no default, so that none is taken for another.
PER_ROW = {
    "hidden tokens, first": {"sequences": "truncated", "mlm_weight": 1.0},
    "hidden tokens, packed": {"sequences": "packed", "mlm_weight": 0.7},
    "hidden tokens and words, first": {"sequences": "truncated", "mlm_weight": 1.0, "bow_weight": 0.5},
    "hidden tokens and words, packed": {"sequences": "packed", "mlm_weight": 0.3, "bow_weight": 2.0},
    "words, packed": {"sequences": "packed", "bow_weight": 0.6},
    "own words": {"sequences": "pairs", "bow_weight": 0.6},
    "neighbour's words": {"sequences": "pairs", "context_bow_weight": 0.6},
    "own and neighbour's words": {"sequences": "pairs", "bow_weight": 0.2, "context_bow_weight": 0.7},
}
WITH_CONTRAST = {
    "words and contrast": {"sequences": "pairs", "bow_weight": 0.5, "infonce_weight": 0.4},
    "hidden tokens and contrast": {"sequences": "pairs", "mlm_weight": 0.3, "infonce_weight": 2.0},
    "all four": {
        "sequences": "pairs",
        "mlm_weight": 0.3,
        "bow_weight": 0.2,
        "context_bow_weight": 0.7,
        "infonce_weight": 0.4,
    },
}


def by_name(cases: dict) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("asked", cases.values(), ids=cases.keys())


@pytest.fixture
def make_job(tokens, tokenizer, shape):
    """Makes jobs that ask for what is given and nothing else."""

    def make(asked: dict, seed: int = 0, *, shared: bool = False) -> Pretraining:
        model = MaskedLanguageModel(shape())
        initialise(model, 0)
        chosen = PretrainSettings(**({"steps": 1, "batch_size": 14, "seed": seed} | NOTHING | asked))
        views = (
            VIEWS[chosen.sequences](tokens, part, model.config.positions) for part in split_documents(len(tokens), 0)
        )
        return Pretraining("test", model, *views, tokenizer, chosen, tokens.counts, 0, shared=shared)  # type: ignore[call-arg, misc]

    return make


@pytest.fixture
def loud_job(make_job, loud):
    """Makes jobs in whose models rows differ in every respect."""

    def make(asked: dict) -> Pretraining:
        job = make_job(asked)
        loud(job.model)
        return job

    return make


def loss_of(job, batch) -> float:
    with torch.no_grad():
        return job.loss(job.model, batch, None).sum().item()


def plain_loss(job, batch, asked: dict) -> float:
    """One row at a time, without its padding, everything computed, every logarithm taken by itself."""
    weight = NOTHING | asked
    texts, hidden_pairs, guesses, cls = [], [], [], []
    for row in range(len(batch.ids)):
        length = batch.ids.shape[1] if batch.mask is None else int(batch.mask[row].sum())
        text = batch.ids[row, :length].clone()
        hidden = job.model.encoder(text[None])
        logits = job.model.head(hidden, job.model.encoder.embeddings.word)[0]
        guesses.append((logits + corrections(batch, len(logits[0]))).log_softmax(-1))
        cls.append(hidden[0, 0])
        found = [] if batch.reads is None else zip(batch.reads[row].tolist(), batch.targets[row].tolist(), strict=True)
        hidden_pairs.append([(read, target) for read, target in found if target != IGNORED])
        for read, target in hidden_pairs[-1]:
            text[read] = target
        texts.append(text.tolist())
    rows = range(len(texts))
    hidden_count = sum(map(len, hidden_pairs))
    a_row = hidden_count / len(texts) if weight["mlm_weight"] else 1.0
    total = -weight["mlm_weight"] * sum(guesses[row][pair].item() for row in rows for pair in hidden_pairs[row])
    for row in rows:
        total -= a_row * weight["bow_weight"] * guessed(job, texts[row], guesses[row][0])
        if weight["context_bow_weight"]:
            total -= a_row * weight["context_bow_weight"] * guessed(job, texts[row ^ 1], guesses[row][0])
        if weight["infonce_weight"]:
            score = {
                other: torch.dot(cls[row], cls[other]).item() / (cls[row].norm() * cls[other].norm()).item() / 0.05
                for other in rows
                if other % 2 != row % 2
            }
            everyone = math.log(sum(math.exp(s) for s in score.values()))
            total -= a_row * weight["infonce_weight"] * (score[row ^ 1] - everyone)
    return total


def corrections(batch, vocabulary: int) -> torch.Tensor | float:
    """What sampling does to logits: words outside the sample cannot be guessed, the others are worth their rarity."""
    if batch.words is None or batch.words.sample is None:
        return 0.0
    sample = batch.words.sample
    worth = torch.full((vocabulary,), -math.inf)
    worth[sample.ids] = -sample.log_sampling_prob
    return worth


def guessed(job, text: list[int], guesses) -> float:
    """The mean of the words' log-probabilities by their weights; special and unknown tokens are no words."""
    special = {job._tokenizer.cls_id, job._tokenizer.sep_id, job._tokenizer.unk_id, job._tokenizer.pad_id}
    weights = [0.0 if word in special else job._word_weights[word].item() for word in text]
    return sum(w * guesses[word].item() for w, word in zip(weights, text, strict=True) if w) / sum(weights)


@by_name(PER_ROW | WITH_CONTRAST)
def test_the_loss_is_that_of_computing_everything(loud_job, asked):
    job = loud_job(asked)
    batch = job.batch(0)
    with torch.no_grad():
        assert loss_of(job, batch) == pytest.approx(plain_loss(job, batch, asked), rel=1e-5)


@by_name(PER_ROW)
def test_parts_add_up_to_the_whole(loud_job, asked):
    job = loud_job(asked)
    batch = job.batch(0)
    parts = list(batch.parts(3))
    assert len({len(part.ids) for part in parts}) > 1
    assert sum(loss_of(job, part) for part in parts) == pytest.approx(loss_of(job, batch), rel=1e-5)


def test_with_contrast_a_part_is_compared_within_itself(loud_job):
    """Fewer to choose among is easier: that is what gradient_accumulation_steps costs here."""
    asked = WITH_CONTRAST["words and contrast"]
    job = loud_job(asked)
    batch = job.batch(0)
    parts = list(batch.parts(3))
    with torch.no_grad():
        for part in parts:
            assert loss_of(job, part) == pytest.approx(plain_loss(job, part, asked), rel=1e-5)
    assert sum(loss_of(job, part) for part in parts) < 0.999 * loss_of(job, batch)


@pytest.mark.parametrize("asked", [{"mlm_weight": 0.3, "bow_weight": 2.0}, {"context_bow_weight": 0.2}])
def test_the_mean_loss_that_is_shown_is_by_the_same_measure_as_chance(make_job, asked):
    """The loop shows the first term over the batch's weight, and takes far above chance for divergence."""
    job = make_job(asked)
    batch = job.batch(0)
    with torch.no_grad():
        shown = job.loss(job.model, batch, None)[0].item() / batch.weight
    # A sample of so small a vocabulary is easier to guess among.
    assert shown == pytest.approx(job.chance_loss, rel=0.02 if job.sparse_parameters() is None else 0.2)


@by_name(PER_ROW | WITH_CONTRAST)
def test_before_training_the_validation_loss_is_that_of_a_uniform_guess(make_job, tokenizer, asked):
    job = make_job(asked)
    # Tokens are guessed among the vocabulary, words among those of the corpus.
    choices = tokenizer.vocab_size if "mlm_weight" in asked else len(job._known_words)
    with torch.no_grad():
        assert job.validate()["loss"] == pytest.approx(math.log(choices), rel=0.02)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"mlm_weight": 1.0}, {"mlm_weight": 0.2, "bow_weight": 0.5, "context_bow_weight": 1.0, "infonce_weight": 3.0}),
        (
            {"bow_weight": 0.4, "context_bow_weight": 0.1},
            {"bow_weight": 2.0, "context_bow_weight": 0.5, "infonce_weight": 3.0},
        ),
    ],
    ids=["hidden tokens", "words"],
)
def test_validation_is_by_hidden_tokens_else_by_words_whatever_else_is_asked(loud_job, one, other):
    one, other = loud_job(one), loud_job(other)
    with torch.no_grad():
        assert one.validate() == pytest.approx(other.validate(), rel=1e-6)


@pytest.mark.parametrize(("rows", "held"), [("truncated", Truncated), ("packed", Packed), ("pairs", Pairs)])
def test_members_validate_on_the_same_cuts_and_masks(make_job, monkeypatch, tokens, rows, held):
    asked = {"sequences": rows, "mlm_weight": 1.0}
    one, other = make_job(asked, seed=1), make_job(asked, seed=2)
    assert not torch.equal(one.batch(0).ids, other.batch(0).ids)
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(one._held, other._held, strict=True))
    documents = split_documents(len(tokens), 0)[1]
    per_row = 2 if rows == "pairs" else 1
    assert sum(len(batch.ids) for batch in one._held) == per_row * len(held(tokens, documents, 16))


def test_every_update_cuts_other_passages_out_of_the_same_stretches(make_job):
    job = make_job({"bow_weight": 1.0})
    first, again, later = (job._batch(job._train, np.arange(50), 0, step) for step in (0, 0, 1))
    assert torch.equal(first.ids, again.ids)
    moved = (first.mask.sum(1) != later.mask.sum(1)).sum().item()
    assert moved > 10


def test_hiding_tokens_leaves_the_words_that_are_asked_for(make_job):
    words = {"bow_weight": 0.5, "context_bow_weight": 0.5}
    one, other = make_job(words).batch(0), make_job(words | {"mlm_weight": 1.0}).batch(0)
    assert torch.equal(one.words.weights, other.words.weights)
    counts = other.words.weights > 0
    assert torch.equal(one.words.sample.ids[one.words.ids[counts]], other.words.ids[counts])
    assert torch.equal(other.words.ids[:, : one.ids.shape[1]], one.ids)
    assert not torch.equal(one.ids, other.ids)


def test_what_is_not_asked_is_not_made(make_job):
    assert make_job({"mlm_weight": 1.0}).batch(0).words is None
    batch = make_job({"bow_weight": 1.0}).batch(0)
    assert (batch.reads, batch.targets) == (None, None)
    assert (batch.weight, batch.row_weight, batch.group) == (len(batch.ids), 1.0, 2)


@pytest.mark.parametrize("neighbour", [0.0, 0.25, 1.0])
def test_weights_of_a_row_sum_to_one_and_special_and_unknown_tokens_weigh_nothing(make_job, tokenizer, neighbour):
    # With hidden tokens there is no sample, so that ids are those of words.
    job = make_job({"mlm_weight": 1.0, "bow_weight": 1 - neighbour, "context_bow_weight": neighbour})
    t = tokenizer
    special = torch.tensor([t.pad_id, t.cls_id, t.sep_id, t.unk_id])
    a, b = 20, 21
    bag = job._bag(torch.tensor([[t.cls_id, a, t.unk_id, b, t.sep_id], [t.cls_id, b, t.sep_id, t.pad_id, t.pad_id]]))
    torch.testing.assert_close(bag.weights.sum(1), torch.ones(2))
    assert (bag.weights[torch.isin(bag.ids, special)] == 0).all()
    share = (job._word_weights[b] / (job._word_weights[a] + job._word_weights[b])).item()
    of_b = torch.where(bag.ids == b, bag.weights, 0.0).sum(1).tolist()
    own, other = 1 - neighbour, neighbour
    assert of_b == pytest.approx([own * share + other, own + other * share])


def test_a_passage_of_unknown_words_asks_for_nothing_of_its_own(make_job, tokenizer):
    job = make_job({"bow_weight": 0.5, "context_bow_weight": 0.5})
    unknown, known = ([tokenizer.cls_id, word, tokenizer.sep_id] for word in (tokenizer.unk_id, 20))
    bag = job._bag(torch.tensor([unknown, known]))
    assert bag.weights.tolist() == [[0, 0, 0, 0, 0.5, 0], [0, 0.5, 0, 0, 0, 0]]


def test_words_are_guessed_among_those_of_the_batch(make_job, tokens):
    job = make_job({"bow_weight": 0.5, "context_bow_weight": 0.5})
    batch = job.batch(0)
    sample = batch.words.sample
    is_word = job._word_weights[batch.ids] > 0
    assert sample.ids.tolist() == sorted(set(batch.ids[is_word].tolist()))
    own = batch.words.ids[:, : batch.ids.shape[1]]
    assert torch.equal(sample.ids[own[is_word]], batch.ids[is_word])
    frequency = tokens.counts[sample.ids] / tokens.counts.sum()
    np.testing.assert_allclose(
        sample.log_sampling_prob.numpy(), np.log(1 - (1 - frequency) ** int(is_word.sum())), atol=0.02
    )


def test_validation_guesses_among_all_words_of_the_corpus(make_job, tokens, tokenizer):
    special = [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.unk_id]
    words = [word for word in np.flatnonzero(tokens.counts).tolist() if word not in special]
    for batch in make_job({"bow_weight": 1.0})._held:
        assert batch.words.sample.ids.tolist() == words
        assert (batch.words.sample.log_sampling_prob == 0).all()
        is_word = torch.isin(batch.ids, torch.tensor(words))
        assert torch.equal(batch.words.sample.ids[batch.words.ids[is_word]], batch.ids[is_word])


def test_guessing_among_all_words_is_not_sampling(make_job, tokenizer):
    model = make_job({"bow_weight": 1.0}).model
    cls = torch.randn(3, model.config.hidden_size)
    everything = SampledVocabulary(torch.arange(tokenizer.vocab_size), torch.zeros(tokenizer.vocab_size))
    with torch.no_grad():
        sampled = model.head.sampled(cls, model.encoder.embeddings, everything)
        torch.testing.assert_close(sampled, model.head(cls, model.encoder.embeddings.word))


def test_gradients_are_the_same_whether_sparse_or_dense(make_job):
    asked = {"bow_weight": 0.5, "context_bow_weight": 0.5, "infonce_weight": 0.3}
    gradients = []
    for shared in (False, True):
        job = make_job(asked, shared=shared)
        job.loss(job.model, job.batch(0), None).sum().backward()
        gradients.append({name: p.grad for name, p in job.model.named_parameters() if p.grad is not None})
        assert (job.sparse_parameters() is None) == shared
    sparse, dense = gradients
    assert sparse.keys() == dense.keys()
    assert sparse["encoder.embeddings.word"].is_sparse
    for name, gradient in sparse.items():
        torch.testing.assert_close(gradient.to_dense() if gradient.is_sparse else gradient, dense[name])


def test_frequent_and_special_tokens_count_little():
    counts = np.array([5, 0, 600, 390, 5])
    weights = word_weights(counts, torch.tensor([0]))
    expected = [0.0, 1.0, 1e-3 / (1e-3 + 0.6), 1e-3 / (1e-3 + 0.39), 1e-3 / (1e-3 + 0.005)]
    assert all(math.isclose(w, e, rel_tol=1e-6) for w, e in zip(weights.tolist(), expected, strict=True))


@pytest.mark.parametrize("masked", [0.0, 1.0])
@pytest.mark.parametrize("rows", ["pairs", "truncated"])
def test_knowing_only_frequencies_gives_the_loss_that_is_said(make_job, tokens, tokenizer, masked, rows):
    counts = tokens.counts.astype(float)
    if not masked:
        counts *= 1e-3 / (1e-3 + counts / counts.sum())
        counts[[tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.unk_id]] = 0
    share = counts / counts.sum()
    seen = share > 0
    job = make_job({"sequences": rows, "mlm_weight": masked, "bow_weight": 0.5})
    assert job.unigram_entropy == pytest.approx(-(share[seen] * np.log(share[seen])).sum(), rel=1e-5)
    with torch.no_grad():
        job.model.head.norm.weight.zero_()
        job.model.head.bias.copy_(torch.from_numpy(np.log(share + 1e-9)))
        # Of the few held-out documents, not of the whole corpus.
        assert job.validate()["loss"] == pytest.approx(job.unigram_entropy, rel=0.1)


def test_a_batch_of_an_odd_number_of_rows_has_one_pair_less(make_job):
    job = make_job({"bow_weight": 1.0, "batch_size": 15})
    assert max(len(job.batch(step).ids) for step in range(job.batches_per_epoch)) == 14
