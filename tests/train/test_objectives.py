"""The objectives of pre-training: each loss is what its definition says, alone, mixed, whole or in parts."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tinylm.core.errors import InputError
from tinylm.model.heads import MaskedLanguageModel, initialise
from tinylm.tokens.sequences import Packed, Pairs, Truncated, split_documents
from tinylm.train.masking import IGNORED
from tinylm.train.objectives.bag_of_words import BagOfWords, BagOfWordsTargets, word_weights
from tinylm.train.objectives.base import Draw, TokenStatistics
from tinylm.train.optimiser import Optimiser
from tinylm.train.pretraining import Pretraining
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
def make_workload(tokens, tokenizer, shape):
    """Makes workloads that ask for what is given and nothing else."""

    def make(asked: dict, seed: int = 0, *, shared: bool = False) -> Pretraining:
        model = MaskedLanguageModel(shape())
        initialise(model, 0)
        chosen = PretrainSettings(**({"steps": 1, "batch_size": 14, "seed": seed} | NOTHING | asked))
        views = (
            VIEWS[chosen.sequences](tokens, part, model.config.positions) for part in split_documents(len(tokens), 0)
        )
        train, validation = views
        statistics = TokenStatistics(tokenizer, tokens.counts)
        return Pretraining("test", model, train, validation, statistics, chosen, 0, shared=shared)

    return make


@pytest.fixture
def loud_workload(make_workload, loud):
    """Makes workloads in whose models rows differ in every respect."""

    def make(asked: dict) -> Pretraining:
        workload = make_workload(asked)
        loud(workload.model)
        return workload

    return make


def loss_of(workload, batch) -> float:
    with torch.no_grad():
        return sum(term.item() for term in workload.loss(workload.module, batch, None).values())


def bag_of_words(workload) -> BagOfWords:
    """The objective of that kind."""
    (found,) = (objective for objective in workload.objectives if isinstance(objective, BagOfWords))
    return found


def words_of(batch) -> BagOfWordsTargets | None:
    """The words that [CLS] is to predict."""
    return batch.targets.get("bow")


def plain_loss(workload, batch, asked: dict) -> float:
    """One row at a time, without its padding, everything computed, every logarithm taken by itself."""
    weight = NOTHING | asked
    texts, hidden_pairs, guesses, cls = [], [], [], []
    for row in range(len(batch.ids)):
        length = batch.ids.shape[1] if batch.mask is None else int(batch.mask[row].sum())
        text = batch.ids[row, :length].clone()
        hidden = workload.model.encoder(text[None])
        logits = workload.model.head(hidden, workload.model.encoder.embeddings.word)[0]
        guesses.append((logits + corrections(batch, len(logits[0]))).log_softmax(-1))
        cls.append(hidden[0, 0])
        positions = batch.masked_positions
        found = (
            [] if positions is None else zip(positions[row].tolist(), batch.targets["mlm"][row].tolist(), strict=True)
        )
        hidden_pairs.append([(read, target) for read, target in found if target != IGNORED])
        for read, target in hidden_pairs[-1]:
            text[read] = target
        texts.append(text.tolist())
    rows = range(len(texts))
    hidden_count = sum(map(len, hidden_pairs))
    a_row = hidden_count / len(texts) if weight["mlm_weight"] else 1.0
    total = -weight["mlm_weight"] * sum(guesses[row][pair].item() for row in rows for pair in hidden_pairs[row])
    for row in rows:
        if weight["bow_weight"]:
            total -= a_row * weight["bow_weight"] * guessed(workload, texts[row], guesses[row][0])
        if weight["context_bow_weight"]:
            total -= a_row * weight["context_bow_weight"] * guessed(workload, texts[row ^ 1], guesses[row][0])
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
    words = words_of(batch)
    if words is None or words.sample is None:
        return 0.0
    sample = words.sample
    worth = torch.full((vocabulary,), -math.inf)
    worth[sample.ids] = -sample.log_sampling_prob
    return worth


def guessed(workload, text: list[int], guesses) -> float:
    """The mean of the words' log-probabilities by their weights; special and unknown tokens are no words."""
    weights = [bag_of_words(workload).word_weights[word].item() for word in text]
    return sum(w * guesses[word].item() for w, word in zip(weights, text, strict=True) if w) / sum(weights)


@by_name(PER_ROW | WITH_CONTRAST)
def test_the_loss_is_that_of_computing_everything(loud_workload, asked):
    workload = loud_workload(asked)
    batch = workload.batch(0)
    with torch.no_grad():
        assert loss_of(workload, batch) == pytest.approx(plain_loss(workload, batch, asked), rel=1e-5)


@by_name(PER_ROW)
def test_parts_add_up_to_the_whole(loud_workload, asked):
    workload = loud_workload(asked)
    batch = workload.batch(0)
    parts = list(batch.parts(3))
    assert len({len(part.ids) for part in parts}) > 1
    assert sum(loss_of(workload, part) for part in parts) == pytest.approx(loss_of(workload, batch), rel=1e-5)


def test_with_contrast_a_part_is_compared_within_itself(loud_workload):
    """Fewer to choose among is easier: that is what gradient_accumulation_steps costs here."""
    asked = WITH_CONTRAST["words and contrast"]
    workload = loud_workload(asked)
    batch = workload.batch(0)
    parts = list(batch.parts(3))
    with torch.no_grad():
        for part in parts:
            assert loss_of(workload, part) == pytest.approx(plain_loss(workload, part, asked), rel=1e-5)
    assert sum(loss_of(workload, part) for part in parts) < 0.999 * loss_of(workload, batch)


@pytest.mark.parametrize("asked", [{"mlm_weight": 0.3, "bow_weight": 2.0}, {"context_bow_weight": 0.2}])
def test_the_mean_loss_that_is_shown_is_by_the_same_measure_as_chance(make_workload, asked):
    """The loop shows the first term over the batch's weight, and takes far above chance for divergence."""
    workload = make_workload(asked)
    batch = workload.batch(0)
    with torch.no_grad():
        shown = next(iter(workload.loss(workload.module, batch, None).values())).item() / batch.predictions
    # A sample of so small a vocabulary is easier to guess among.
    assert shown == pytest.approx(workload.uniform_loss, rel=0.2 if workload.sparse_parameters() else 0.02)


@by_name(PER_ROW | WITH_CONTRAST)
def test_before_training_the_validation_loss_is_that_of_a_uniform_guess(make_workload, tokenizer, asked):
    workload = make_workload(asked)
    # Tokens are guessed among the vocabulary, words among those of the corpus.
    choices = tokenizer.vocab_size if "mlm_weight" in asked else len(bag_of_words(workload)._known_words)
    with torch.no_grad():
        assert workload.validate()["loss"] == pytest.approx(math.log(choices), rel=0.02)


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
def test_validation_is_by_hidden_tokens_else_by_words_whatever_else_is_asked(loud_workload, one, other):
    one, other = loud_workload(one), loud_workload(other)
    with torch.no_grad():
        assert one.validate() == pytest.approx(other.validate(), rel=1e-6)


@pytest.mark.parametrize(("rows", "held"), [("truncated", Truncated), ("packed", Packed), ("pairs", Pairs)])
def test_members_validate_on_the_same_cuts_and_masks(make_workload, monkeypatch, tokens, rows, held):
    asked = {"sequences": rows, "mlm_weight": 1.0}
    one, other = make_workload(asked, seed=1), make_workload(asked, seed=2)
    assert not torch.equal(one.batch(0).ids, other.batch(0).ids)
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(one._validation, other._validation, strict=True))
    documents = split_documents(len(tokens), 0)[1]
    per_row = 2 if rows == "pairs" else 1
    assert sum(len(batch.ids) for batch in one._validation) == per_row * len(held(tokens, documents, 16))


def test_every_update_cuts_other_passages_out_of_the_same_stretches(make_workload):
    workload = make_workload({"bow_weight": 1.0})
    first, again, later = (
        workload._batch(workload._train, np.arange(50), Draw(0, step), workload.objectives) for step in (0, 0, 1)
    )
    assert torch.equal(first.ids, again.ids)
    moved = (first.mask.sum(1) != later.mask.sum(1)).sum().item()
    assert moved > 10


def test_hiding_tokens_leaves_the_words_that_are_asked_for(make_workload):
    words = {"bow_weight": 0.5, "context_bow_weight": 0.5}
    one, other = make_workload(words).batch(0), make_workload(words | {"mlm_weight": 1.0}).batch(0)
    sampled, every = words_of(one), words_of(other)
    assert torch.equal(sampled.weights, every.weights)
    counts = every.weights > 0
    assert torch.equal(sampled.sample.ids[sampled.ids[counts]], every.ids[counts])
    assert torch.equal(every.ids[:, : one.ids.shape[1]], one.ids)
    assert not torch.equal(one.ids, other.ids)


def test_what_is_not_asked_is_not_made(make_workload):
    assert list(make_workload({"mlm_weight": 1.0}).batch(0).targets) == ["mlm"]
    batch = make_workload({"bow_weight": 1.0}).batch(0)
    assert (batch.masked_positions, list(batch.targets)) == (None, ["bow"])
    assert (batch.predictions, batch.predictions_per_sequence, batch.group) == (len(batch.ids), 1.0, 2)


@pytest.mark.parametrize("neighbour", [0.0, 0.25, 1.0])
def test_weights_of_a_row_sum_to_one_and_special_and_unknown_tokens_weigh_nothing(make_workload, tokenizer, neighbour):
    # With hidden tokens there is no sample, so that ids are those of words.
    workload = make_workload({"mlm_weight": 1.0, "bow_weight": 1 - neighbour, "context_bow_weight": neighbour})
    t = tokenizer
    special = torch.tensor([t.pad_id, t.cls_id, t.sep_id, t.unk_id])
    a, b = 20, 21
    ids = torch.tensor([[t.cls_id, a, t.unk_id, b, t.sep_id], [t.cls_id, b, t.sep_id, t.pad_id, t.pad_id]])
    bag = bag_of_words(workload).prepare(ids, Draw(0, 0)).targets
    torch.testing.assert_close(bag.weights.sum(1), torch.ones(2))
    assert (bag.weights[torch.isin(bag.ids, special)] == 0).all()
    weights = bag_of_words(workload).word_weights
    share = (weights[b] / (weights[a] + weights[b])).item()
    of_b = torch.where(bag.ids == b, bag.weights, 0.0).sum(1).tolist()
    own, other = 1 - neighbour, neighbour
    assert of_b == pytest.approx([own * share + other, own + other * share])


def test_a_passage_of_unknown_words_asks_for_nothing_of_its_own(make_workload, tokenizer):
    workload = make_workload({"bow_weight": 0.5, "context_bow_weight": 0.5})
    unknown, known = ([tokenizer.cls_id, word, tokenizer.sep_id] for word in (tokenizer.unk_id, 20))
    bag = bag_of_words(workload).prepare(torch.tensor([unknown, known]), Draw(0, 0)).targets
    assert bag.weights.tolist() == [[0, 0, 0, 0, 0.5, 0], [0, 0.5, 0, 0, 0, 0]]


def test_words_are_guessed_among_those_of_the_batch(make_workload, tokens):
    workload = make_workload({"bow_weight": 0.5, "context_bow_weight": 0.5})
    batch = workload.batch(0)
    words = words_of(batch)
    sample = words.sample
    is_word = bag_of_words(workload).word_weights[batch.ids] > 0
    assert sample.ids.tolist() == sorted(set(batch.ids[is_word].tolist()))
    own = words.ids[:, : batch.ids.shape[1]]
    assert torch.equal(sample.ids[own[is_word]], batch.ids[is_word])
    frequency = tokens.counts[sample.ids] / tokens.counts.sum()
    np.testing.assert_allclose(
        sample.log_sampling_prob.numpy(), np.log(1 - (1 - frequency) ** int(is_word.sum())), atol=0.02
    )


def test_validation_guesses_among_all_words_of_the_corpus(make_workload, tokens, tokenizer):
    special = [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.unk_id]
    words = [word for word in np.flatnonzero(tokens.counts).tolist() if word not in special]
    for batch in make_workload({"bow_weight": 1.0})._validation:
        targets = words_of(batch)
        assert targets.sample.ids.tolist() == words
        assert (targets.sample.log_sampling_prob == 0).all()
        is_word = torch.isin(batch.ids, torch.tensor(words))
        assert torch.equal(targets.sample.ids[targets.ids[:, : batch.ids.shape[1]][is_word]], batch.ids[is_word])


def test_guessing_among_all_words_is_not_sampling(make_workload, tokenizer):
    model = make_workload({"bow_weight": 1.0}).model
    cls = torch.randn(3, model.config.hidden_size)
    everything = torch.arange(tokenizer.vocab_size)
    with torch.no_grad():
        sampled = model.head.sampled(cls, model.encoder.embeddings, everything, torch.zeros(1))
        torch.testing.assert_close(sampled, model.head(cls, model.encoder.embeddings.word))


def test_gradients_are_the_same_whether_sparse_or_dense(make_workload):
    asked = {"bow_weight": 0.5, "context_bow_weight": 0.5, "infonce_weight": 0.3}
    gradients = []
    for shared in (False, True):
        workload = make_workload(asked, shared=shared)
        torch.stack(list(workload.loss(workload.module, workload.batch(0), None).values())).sum().backward()
        gradients.append({name: p.grad for name, p in workload.model.named_parameters() if p.grad is not None})
        assert bool(workload.sparse_parameters()) != shared
    sparse, dense = gradients
    assert sparse.keys() == dense.keys()
    assert sparse["encoder.embeddings.word"].is_sparse
    for name, gradient in sparse.items():
        torch.testing.assert_close(gradient.to_dense() if gradient.is_sparse else gradient, dense[name])


def test_frequent_and_special_tokens_count_little(tokenizer):
    counts = np.array([5, 0, 600, 390, 5])
    weights = word_weights(TokenStatistics(tokenizer, counts), torch.tensor([0]))
    expected = [0.0, 1.0, 1e-3 / (1e-3 + 0.6), 1e-3 / (1e-3 + 0.39), 1e-3 / (1e-3 + 0.005)]
    assert all(math.isclose(w, e, rel_tol=1e-6) for w, e in zip(weights.tolist(), expected, strict=True))


@pytest.mark.parametrize("masked", [0.0, 1.0])
@pytest.mark.parametrize("rows", ["pairs", "truncated"])
def test_knowing_only_frequencies_gives_the_loss_that_is_said(make_workload, tokens, tokenizer, masked, rows):
    counts = tokens.counts.astype(float)
    if not masked:
        counts *= 1e-3 / (1e-3 + counts / counts.sum())
        counts[[tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.unk_id]] = 0
    share = counts / counts.sum()
    seen = share > 0
    workload = make_workload({"sequences": rows, "mlm_weight": masked, "bow_weight": 0.5})
    assert workload.unigram_entropy == pytest.approx(-(share[seen] * np.log(share[seen])).sum(), rel=1e-5)
    with torch.no_grad():
        workload.model.head.norm.weight.zero_()
        workload.model.head.bias.copy_(torch.from_numpy(np.log(share + 1e-9)))
        # Of the few held-out documents, not of the whole corpus.
        assert workload.validate()["loss"] == pytest.approx(workload.unigram_entropy, rel=0.1)


def test_a_batch_of_an_odd_number_of_rows_has_one_pair_less(make_workload):
    workload = make_workload({"bow_weight": 1.0, "batch_size": 15})
    assert max(len(workload.batch(step).ids) for step in range(workload.batches_per_epoch)) == 14


@pytest.mark.parametrize(
    "asked", [{"bow_weight": 0.5, "context_bow_weight": 0.5}, {"bow_weight": 1.0, "infonce_weight": 0.1}]
)
def test_bag_of_words_of_unknown_and_special_tokens_alone_is_trained_on(make_workload, tokenizer, asked):
    """The term is 0, and the gradient of the word embedding stays sparse, which is all that its optimiser takes."""
    workload = make_workload({"batch_size": 4} | asked)
    row = [tokenizer.cls_id, tokenizer.unk_id, tokenizer.sep_id]
    ids = torch.tensor([row] * 4)
    draw = Draw(0, 0)
    targets = {objective.name: objective.prepare(ids, draw).targets for objective in workload.objectives}
    batch = replace(workload.batch(0), ids=ids, mask=None, predictions=4, targets=targets)
    optimiser = Optimiser(workload.model, workload._settings, sparse=workload.sparse_parameters())
    terms = workload.loss(workload.module, batch, None)
    assert terms["bow"].item() == 0
    torch.stack(list(terms.values())).sum().backward()
    assert workload.model.encoder.embeddings.word.grad.is_sparse
    assert math.isfinite(optimiser.update(1e-3))


def test_training_data_is_measured_as_validation_data_is(make_workload):
    """On as many sequences, among the whole vocabulary, and without a change of what is drawn for updates."""
    workload = make_workload({"bow_weight": 0.5, "context_bow_weight": 0.5})
    with torch.no_grad():
        measured = workload.measure_training_data()
        assert measured.keys() == workload.validate().keys()
        assert measured == workload.measure_training_data()
        assert measured["loss"] == pytest.approx(workload.validate()["loss"], rel=0.05), "before training"
    assert all(words_of(batch).sample.log_sampling_prob.eq(0).all() for batch in workload._fixed_training)


def test_two_objectives_of_one_name_are_refused(make_workload, tokens, tokenizer, shape):
    workload = make_workload({"bow_weight": 0.5})
    again = bag_of_words(workload)
    with pytest.raises(InputError, match="two objectives are called 'bow'"):
        statistics = TokenStatistics(tokenizer, tokens.counts)
        settings = PretrainSettings(**({"steps": 1} | NOTHING | {"bow_weight": 0.5}))
        Pretraining(
            "test",
            workload.model,
            workload._train,
            workload._train,
            statistics,
            settings,
            0,
            objectives=[lambda _: again],
        )
