"""A committee answers whatever text there is, in whatever form it comes, from its checkpoint and from its export."""

import itertools
import threading
import time

import numpy as np
import pytest
from vocabularies import sequences
from voters import LABELS, torch_votes, write_member, write_voters

from tinylm.committee import voting
from tinylm.committee.voting import PLAIN, Voting
from tinylm.core.errors import InputError
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd
from tinylm.runtime import classifier as classifier_module
from tinylm.runtime.batches import batches_by_length
from tinylm.runtime.loading import load
from tinylm.steps.export import export


@pytest.fixture(scope="module")
def other_tokenizer(documents):
    from tinylm.tokens.vocabulary import train_tokenizer

    return train_tokenizer(documents, 70)


@pytest.fixture(scope="module")
def folder(tokenizer, other_tokenizer, tmp_path_factory):
    """A committee of members of other shapes, lengths and vocabularies."""
    members = [
        (tokenizer, {}),
        (tokenizer, {"layers": 2, "positions": 16}),
        (other_tokenizer, {"hidden_size": 24, "heads": 3}),
        (tokenizer, {"front_end": DepthwiseFrontEnd(kernel=3)}),
    ]
    return write_voters(tmp_path_factory.mktemp("committee"), members)


@pytest.fixture(scope="module", params=["checkpoint", "artefact"])
def mixed(request, folder, tmp_path_factory):
    if request.param == "checkpoint":
        return load(folder)
    artefact = tmp_path_factory.mktemp("exported") / "artefact"
    export(folder, artefact)
    return load(artefact)


@pytest.fixture(scope="module")
def texts(documents) -> list[str]:
    return documents[:90]


def test_votes_are_those_of_torch(mixed, folder, texts):
    votes = mixed.votes(texts)
    assert votes.shape == (4, 90, 3)
    np.testing.assert_allclose(votes, torch_votes(folder, texts), atol=1e-5)
    # The members say different things, and of different texts different ones.
    assert np.abs(votes[0] - votes[1]).max() > 0.1
    assert votes.std(1).max(1).min() > 1e-3


def test_a_text_by_itself_gets_the_same_answer(mixed, texts):
    answers = mixed.predict_batch(texts)
    for index in (0, 17, 89):
        np.testing.assert_allclose(mixed.votes(texts[index]), answers.votes[:, index], atol=1e-5)
        np.testing.assert_allclose(mixed.predict_proba(texts[index]), answers.probabilities[index], atol=1e-5)
        np.testing.assert_allclose(mixed.disagreement(texts[index]), answers.disagreement[index], atol=1e-4)
        assert mixed.predict(texts[index]) == LABELS[answers.probabilities[index].argmax()]


def test_the_order_of_the_texts_is_kept(mixed, texts):
    mixture = ["", *texts, "x " * 500, texts[0]]
    assert len({len(text) for text in mixture}) > 10
    shuffle = np.random.default_rng(0).permutation(len(mixture))
    expected = mixed.predict_proba(mixture)[shuffle]
    np.testing.assert_allclose(mixed.predict_proba([mixture[i] for i in shuffle]), expected, atol=1e-5)


def test_probabilities_and_labels_are_the_mean_of_the_votes(mixed, texts):
    mean = mixed.votes(texts).mean(0)
    np.testing.assert_allclose(mixed.predict_proba(texts), mean, atol=1e-6)
    assert mixed.predict(texts) == [LABELS[i] for i in mean.argmax(1)]
    assert len(set(mixed.predict(texts))) > 1


def test_disagreement_is_that_of_the_votes(mixed, texts):
    np.testing.assert_allclose(mixed.disagreement(texts), voting.disagreement(mixed.votes(texts)))
    assert mixed.disagreement(texts).min() > 0


def test_a_vote_of_logits_is_the_geometric_mean(tokenizer, texts, tmp_path):
    folder = write_voters(tmp_path / "committee", [(tokenizer, {})] * 3, vote="logit")
    export(folder, tmp_path / "artefact")
    geometric = np.exp(np.log(torch_votes(folder, texts)).mean(0))
    geometric /= geometric.sum(1, keepdims=True)
    for opened in (load(folder), load(tmp_path / "artefact")):
        assert opened.voting == Voting("logit")
        np.testing.assert_allclose(opened.predict_proba(texts), geometric, atol=1e-5)
        assert np.abs(opened.votes(texts).mean(0) - geometric).max() > 0.01


@pytest.mark.parametrize("how", ["probability", "logit"])
def test_a_temperature_is_applied_by_arrays_and_by_the_graph(tokenizer, texts, tmp_path, how):
    folder = write_voters(tmp_path / "committee", [(tokenizer, {})] * 2, how, temperature=2.5)
    export(folder, tmp_path / "artefact")
    expected = voting.vote(torch_votes(folder, texts), Voting(how, 2.5))
    for opened in (load(folder), load(tmp_path / "artefact")):
        assert opened.voting == Voting(how, 2.5)
        np.testing.assert_allclose(opened.predict_proba(texts), expected, atol=1e-5)


def test_a_text_a_collection_and_an_iterator_are_answered_in_kind(mixed, texts):
    few = texts[:5]
    labels = mixed.predict(few)
    assert isinstance(mixed.predict(few[0]), str)
    assert mixed.predict(tuple(few)) == mixed.predict(np.array(few)) == labels
    stream = mixed.predict(iter(few))
    assert next(stream) == labels[0] and list(stream) == labels[1:]
    for ask in (mixed.predict_proba, mixed.disagreement):
        together = ask(few)
        assert ask(few[0]) == pytest.approx(together[0], abs=1e-5)
        np.testing.assert_allclose(np.stack(list(ask(iter(few)))), together, atol=1e-5)
    votes = np.stack(list(mixed.votes(iter(few))))
    assert votes.shape == (5, 4, 3)
    np.testing.assert_allclose(votes.swapaxes(0, 1), mixed.votes(few), atol=1e-5)


def test_what_it_is_unsure_of_it_may_leave_open(mixed, texts):
    highest = mixed.predict_proba(texts).max(1)
    threshold = float(np.median(highest))
    expected = [
        label if chance >= threshold else None for label, chance in zip(mixed.predict(texts), highest, strict=True)
    ]
    assert mixed.predict(texts, abstain=threshold) == expected
    assert None in expected and set(expected) != {None}
    assert list(mixed.predict(iter(texts), abstain=threshold)) == expected
    assert mixed.predict(texts[0], abstain=1.0) is None
    with pytest.raises(InputError, match="abstain is 70; it is a probability, from 0 to 1"):
        mixed.predict(texts, abstain=70)


def test_predictions_say_what_the_arrays_say(mixed, texts, monkeypatch):
    monkeypatch.setattr(classifier_module, "CHUNK", 40)
    found = list(mixed.predictions(texts))
    probabilities, doubts = mixed.predict_proba(texts), mixed.disagreement(texts)
    assert [p.label for p in found] == mixed.predict(texts)
    np.testing.assert_allclose([list(p.probabilities.values()) for p in found], probabilities, atol=1e-5)
    np.testing.assert_allclose([p.probability for p in found], probabilities.max(1), atol=1e-5)
    np.testing.assert_allclose([p.disagreement for p in found], doubts, atol=1e-4)
    assert all(list(p.probabilities) == list(LABELS) for p in found)


def test_answers_stream(mixed, texts):
    taken = itertools.count()
    endless = (text for text in itertools.cycle(texts) if next(taken) >= 0)
    stream = mixed.predictions(endless)
    next(stream)
    after_one = next(taken)
    assert 0 < after_one <= 300
    assert len(list(itertools.islice(stream, 300))) == 300
    assert next(taken) > after_one


@pytest.mark.parametrize("empty", [[], (), iter([])])
def test_no_texts(mixed, empty):
    if isinstance(empty, list | tuple):
        assert mixed.votes(empty).shape == (4, 0, 3)
        assert mixed.predict_proba(empty).shape == (0, 3)
        assert mixed.predict(empty) == []
        assert mixed.disagreement(empty).shape == (0,)
    assert list(mixed.predictions(empty)) == []
    assert list(mixed.votes(iter(empty))) == []


def test_strange_texts(mixed):
    strange = ["", " ", "\x00", "\ud800", "日本語", "🙂" * 50, "[CLS] [MASK]", "[PAD] [PAD]"]
    votes = mixed.votes(strange)
    assert np.isfinite(votes).all()
    # Nothing to read is nothing to read.
    np.testing.assert_allclose(votes[:, 0], votes[:, 1], atol=1e-6)


@pytest.mark.parametrize(("texts", "what"), [([None], "text 1 is NoneType"), (["a", 3], "text 2 is int")])
def test_what_is_no_text_is_refused(mixed, texts, what):
    with pytest.raises(InputError, match=f"{what}, not a string; give strings"):
        mixed.predict(texts)
    with pytest.raises(InputError, match=what):
        list(mixed.predictions(iter(texts)))


def test_a_long_text_costs_no_more_than_its_beginning(mixed, words):
    long = " ".join(itertools.islice(itertools.cycle(words), 100_000))
    mixed.votes([long[:200]])
    started = time.perf_counter()
    votes = mixed.votes([long])
    # Encoding all of it would take a second.
    assert time.perf_counter() - started < 0.3
    np.testing.assert_allclose(votes, mixed.votes([long[:1000]]), atol=1e-6)
    assert mixed.explain(long).words[-1].end < 1000


def test_two_threads_say_the_same_as_one(folder, texts, tmp_path):
    export(folder, tmp_path / "artefact")
    for path in (folder, tmp_path / "artefact"):
        np.testing.assert_allclose(load(path, threads=2).votes(texts), load(path).votes(texts), atol=1e-5)
    with pytest.raises(InputError, match="threads is 0; it must be at least 1"):
        load(folder, threads=0)


def test_many_threads_may_ask_at_once(mixed, texts):
    expected = mixed.votes(texts)
    found: dict[int, np.ndarray] = {}

    def ask(number):
        for _ in range(5):
            found[number] = mixed.votes(texts[number::8])

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    for number in range(8):
        np.testing.assert_allclose(found[number], expected[:, number::8], atol=1e-5)


@pytest.mark.parametrize("most", [1, 40, 10_000])
def test_batches_have_no_more_tokens_than_they_should(most):
    tokens = np.array([3, 40, 2, 3, 9, 9, 41, 30])
    order = np.argsort(tokens, kind="stable")
    batches = list(batches_by_length(order, tokens, most))
    assert np.concatenate(batches).tolist() == order.tolist()
    assert all(len(batch) == 1 or len(batch) * tokens[batch].max() <= most for batch in batches)
    assert len(batches) == {1: 8, 40: 5, 10_000: 1}[most]


# What was looked at


def test_an_explanation_weighs_the_words(mixed, words):
    text = f"{words[0]},  {words[1]}{words[2]} [MASK][SEP] {words[3]}!"
    found = mixed.explain(text)
    assert [text[word.start : word.end] for word in found.words] == [
        words[0],
        ",",
        words[1] + words[2],
        "[MASK]",
        "[SEP]",
        words[3],
        "!",
    ]
    assert sum(word.weight for word in found.words) + found.special == pytest.approx(1, abs=1e-5)
    assert all(word.weight > 0 for word in found.words) and found.special > 0
    np.testing.assert_allclose(found.predictions.probabilities[0], mixed.predict_proba(text), atol=1e-6)


def test_an_explanation_of_nothing(mixed):
    found = mixed.explain("")
    assert found.words == () and found.special == pytest.approx(1)


def test_words_and_the_row_have_the_same_tokens(tokenizer, documents):
    for text in (*documents[:50], "\ud800 half", "é́ü ñ", "[CLS]x[MASK]", "x" * 300):
        for length in (3, 10, 64):
            assert len(tokenizer.word_spans(text, length)) == len(sequences(tokenizer, [text], length)[0]) - 2


# On disk


def test_a_saved_model_says_the_same(mixed, texts, tmp_path):
    mixed.save(tmp_path / "new" / "model")
    opened = load(str(tmp_path / "new" / "model"))
    assert (len(opened), opened.labels, opened.voting) == (4, LABELS, PLAIN)
    assert np.array_equal(opened.votes(texts), mixed.votes(texts))


def test_saving_replaces_a_model_and_nothing_else(mixed, tokenizer, texts, tmp_path):
    smaller = load(write_voters(tmp_path / "one", [(tokenizer, {})]))
    mixed.save(tmp_path / "model")
    smaller.save(tmp_path / "model")
    assert np.array_equal(load(tmp_path / "model").votes(texts), smaller.votes(texts))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["committee.json", "member-0"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"photos holds something else \(.*\); choose a new folder"):
        mixed.save(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.jpg").exists()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt is a file"):
        mixed.save(tmp_path / "notes.txt")


def test_a_save_that_fails_leaves_what_was_there(mixed, tokenizer, texts, tmp_path, monkeypatch):
    smaller = load(write_voters(tmp_path / "one", [(tokenizer, {})]))
    smaller.save(tmp_path / "model")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(classifier_module.shutil, "copy", full)
    with pytest.raises(OSError, match="No space"):
        mixed.save(tmp_path / "model")
    assert np.array_equal(load(tmp_path / "model").votes(texts), smaller.votes(texts))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "one"]


def test_a_model_whose_files_are_gone_cannot_be_saved(tokenizer, tmp_path):
    opened = load(write_voters(tmp_path / "one", [(tokenizer, {})]))
    (tmp_path / "one" / "committee.json").unlink()
    with pytest.raises(InputError, match=r"committee\.json is gone, so the model cannot be copied"):
        opened.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_convolutions_over_an_image_are_answered_text_by_text(tokenizer, tmp_path, texts):
    front_end = Conv2dFrontEnd(kernels=(3,), channels=64)
    write_member(tmp_path / "member-0", tokenizer, 0, front_end=front_end, hidden_size=8)
    opened = load(tmp_path / "member-0")
    assert opened._batch_tokens == 16
    assert opened.predict_proba(texts[:3]).shape == (3, 3)


@pytest.mark.parametrize("name", ["pretrained", "scratch", "report.html", "member-0.partial", "notes.txt", "member-7"])
def test_classifier_save_keeps_what_is_not_a_model(mixed, texts, tmp_path, name):
    """What `tinylm train -o model` leaves holds more than a model, and a save replaces the whole folder."""
    folder = tmp_path / "model"
    mixed.save(folder)
    (folder / name).mkdir()
    (folder / name / "kept.txt").write_text("mine")
    with pytest.raises(InputError, match=rf"model holds something else \({name}\); choose a new folder for the model"):
        mixed.save(folder)
    assert (folder / name / "kept.txt").read_text() == "mine"
    assert np.array_equal(load(folder).votes(texts), mixed.votes(texts))


def test_classifier_save_keeps_pretrained_members(mixed, tmp_path):
    """A base has only names that a model may have, but is none."""
    base = tmp_path / "base"
    (base / "member-0").mkdir(parents=True)
    (base / "run.json").write_text("{}")
    with pytest.raises(InputError, match="base holds something else"):
        mixed.save(base)
    assert (base / "member-0").is_dir()
    assert (base / "run.json").read_text() == "{}"


def test_classifier_save_onto_its_own_folder(mixed, texts, tmp_path):
    mixed.save(tmp_path / "model")
    own = load(tmp_path / "model")
    own.save(tmp_path / "model")
    assert np.array_equal(load(tmp_path / "model").votes(texts), mixed.votes(texts))


def test_classifier_save_keeps_a_file_beside_the_weights_of_a_member(folder, tmp_path):
    committee, target = load(folder), tmp_path / "model"
    committee.save(target)
    (target / "member-0" / "thesis.tex").write_text("mine")
    (target / "README.md").write_text("mine")
    with pytest.raises(InputError, match=r"holds something else \(README.md\)"):
        committee.save(target)
    (target / "README.md").unlink()
    with pytest.raises(InputError, match=r"holds something else \(member-0/thesis.tex\)"):
        committee.save(target)
    assert (target / "member-0" / "thesis.tex").read_text() == "mine"
