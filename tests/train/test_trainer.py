"""One run or two halves, whole batches or parts: the same weights. What goes wrong says so and loses nothing."""

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tinylm.core.errors import DivergedError, InputError, InterruptedByUserError, TinyLMError
from tinylm.core.seeds import member_seed
from tinylm.model.checkpoint import load_classifier, load_masked_language_model
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.heads import MaskedLanguageModel, initialise
from tinylm.text.splits import Examples, Task, hold_out
from tinylm.tokens.characters import character_ngrams
from tinylm.tokens.sequences import Pairs, split_documents
from tinylm.tokens.wordpiece import SPECIAL_TOKENS
from tinylm.train import state as state_module
from tinylm.train import trainer as loop_module
from tinylm.train.batch import Batch
from tinylm.train.batches import Batches
from tinylm.train.classification import Classification
from tinylm.train.distributed import DistributedContext
from tinylm.train.finetune import default_updates, finetune_member
from tinylm.train.masking import mask_sequences
from tinylm.train.optimiser import Optimiser
from tinylm.train.pretrain import pretrain_member
from tinylm.train.pretraining import Pretraining
from tinylm.train.settings import FinetuneSettings, PretrainSettings, TrainingSettings
from tinylm.train.state import State, latest, load_state, require_space, save_state

CONVOLUTIONS = Conv2dFrontEnd(kernels=(3, 2), channels=2)
MASKED = {"sequences": "packed", "mlm_weight": 1.0, "context_bow_weight": 0.0, "infonce_weight": 0.0}
ALL_FOUR = {
    "sequences": "pairs",
    "mlm_weight": 0.5,
    "bow_weight": 0.5,
    "context_bow_weight": 0.5,
    "infonce_weight": 0.15,
}


@pytest.fixture
def pretrain(shape, tokens, tokenizer, alone, listener):
    """Pre-trains a tiny member; returns what was said."""

    def run(folder, *, config=None, interrupt_at=None, **settings):
        heard = listener(interrupt_at)
        chosen = PretrainSettings(**({"steps": 60, "batch_size": 16, "precision": "float32"} | settings))
        pretrain_member(folder, 0, config or shape(), tokens, tokenizer, chosen, alone, heard)
        return heard.said

    return run


@pytest.fixture(scope="module")
def task(documents, words) -> Task:
    """Whether a text begins in the first half of the circle of words; one in ten is told wrongly."""
    begins = np.array([words.index(text.split()[0]) < len(words) // 2 for text in documents])
    labels = (begins ^ (np.arange(len(documents)) % 10 == 0)).astype(np.int64)
    half = len(documents) // 2
    parts = Examples(tuple(documents[:half]), labels[:half]), Examples(tuple(documents[half:]), labels[half:])
    return Task("circle", ("late", "early"), *parts, "0")


@pytest.fixture
def finetune(task, shape, tokenizer, alone, listener):
    """Fine-tunes a tiny member; returns what was said."""

    def run(folder, *, start=None, on=task, interrupt_at=None, **settings):
        heard = listener(interrupt_at)
        given = {"steps": 60, "batch_size": 16, "precision": "float32", "characters": True}
        chosen = FinetuneSettings(**(given | settings))
        finetune_member(folder, 0, start or shape(), tokenizer, on, chosen, alone, heard)
        return heard.said

    return run


def training(folder):
    return json.loads((folder / "training.json").read_text())


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def assert_nothing_temporary(folder):
    assert [path.name for path in folder.rglob("*") if path.name.startswith(".")] == []


# Resuming


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dropout": 0.1, "gradient_accumulation_steps": 3},
        ALL_FOUR | {"dropout": 0.1, "gradient_accumulation_steps": 3},
        MASKED,
        MASKED | {"sequences": "truncated", "dropout": 0.1, "gradient_accumulation_steps": 3},
        {"front_end": CONVOLUTIONS, "layers": 2},
        MASKED | {"front_end": CONVOLUTIONS, "sequences": "truncated", "layers": 2},
    ],
    ids=[
        "pairs",
        "pairs-dropout-parts",
        "all-four-dropout-parts",
        "packed",
        "first-dropout-parts",
        "pairs-convolutions",
        "first-convolutions",
    ],
)
def test_two_halves_of_pre_training_are_the_whole(pretrain, shape, metrics, tmp_path, options):
    config = shape(**{key: options[key] for key in ("front_end", "layers") if key in options})
    settings = {key: value for key, value in options.items() if key not in ("front_end", "layers")}
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    pretrain(whole, config=config, **settings)
    for step in (13, 30):
        with pytest.raises(InterruptedByUserError, match=rf"interrupted after update {step}; everything so far"):
            pretrain(halves, config=config, interrupt_at=step, **settings)
        assert not halves.exists()
        kept = (tmp_path / "halves.partial" / "checkpoints").iterdir()
        assert [path.name for path in kept] == [f"step-{step:09d}"]
    pretrain(halves, config=config, **settings)
    assert weights(halves) == weights(whole)
    assert metrics(halves) == metrics(whole)
    assert len(metrics(whole)) == 9 + 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["halves", "whole"]
    assert_nothing_temporary(tmp_path)


def test_a_signal_during_the_last_validation_is_heard(pretrain, metrics, tmp_path, monkeypatch):
    pretrain(tmp_path / "whole")
    validations = sum("validation" in line for line in metrics(tmp_path / "whole"))
    made = []

    def interrupted(self):
        made.append(self)
        if len(made) == validations:
            signal.raise_signal(signal.SIGINT)
        return before(self)

    before = Pretraining.validate
    monkeypatch.setattr(Pretraining, "validate", interrupted)
    with pytest.raises(InterruptedByUserError, match="interrupted after update 60; everything so far is saved"):
        pretrain(tmp_path / "late")
    pretrain(tmp_path / "late")
    assert len(made) == validations
    assert weights(tmp_path / "late") == weights(tmp_path / "whole")
    assert metrics(tmp_path / "late") == metrics(tmp_path / "whole")


def test_metrics_after_the_checkpoint_are_written_anew(pretrain, metrics, tmp_path, monkeypatch):
    """A process that dies after its last checkpoint has written lines that the next one writes again."""
    pretrain(tmp_path / "whole")
    with pytest.raises(InterruptedByUserError):
        pretrain(tmp_path / "died", interrupt_at=25)
    monkeypatch.setattr(Pretraining, "batch", fails_at(Pretraining.batch, 50))
    with pytest.raises(RuntimeError, match="died"):
        pretrain(tmp_path / "died")
    monkeypatch.undo()
    pretrain(tmp_path / "died")
    assert weights(tmp_path / "died") == weights(tmp_path / "whole")
    assert metrics(tmp_path / "died") == metrics(tmp_path / "whole")


def fails_at(batch, when):
    def failing(self, step):
        if step == when:
            raise RuntimeError("died")
        return batch(self, step)

    return failing


def test_two_halves_of_fine_tuning_are_the_whole(finetune, metrics, tmp_path):
    options = {"dropout": 0.2, "gradient_accumulation_steps": 2, "learning_rate": 0.01, "word_dropout": 0.5}
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    finetune(whole, **options)
    with pytest.raises(InterruptedByUserError):
        finetune(halves, interrupt_at=20, **options)
    finetune(halves, **options)
    assert weights(halves) == weights(whole)
    assert metrics(halves) == metrics(whole)
    assert len(metrics(whole)) == 11 + 3
    assert load_classifier(halves)[1] == ("late", "early")


def test_every_update_hides_other_tokens(pretrain, tmp_path, monkeypatch):
    seeds = []

    def mask(*arguments):
        seeds.append(arguments[-1].initial_seed())
        return mask_sequences(*arguments)

    monkeypatch.setattr("tinylm.train.objectives.mlm.mask_sequences", mask)
    pretrain(tmp_path / "model", steps=6, **MASKED)
    assert len(set(seeds)) == len(seeds) > 6


def test_another_seed_gives_another_model(pretrain, tmp_path):
    for seed in (0, 1):
        pretrain(tmp_path / f"{seed}", seed=seed, steps=2)
    assert weights(tmp_path / "0") != weights(tmp_path / "1")


def test_a_checkpoint_of_another_width_is_refused(pretrain, shape, tmp_path):
    with pytest.raises(InterruptedByUserError):
        pretrain(tmp_path / "model", interrupt_at=5)
    before = weights(latest(tmp_path / "model.partial"))
    for other in (shape(hidden_size=32), shape(layers=2)):
        with pytest.raises(InputError, match=r"another shape .* resume with the settings .* another output folder"):
            pretrain(tmp_path / "model", config=other)
    assert weights(latest(tmp_path / "model.partial")) == before


def test_saving_between_updates_changes_nothing(pretrain, metrics, tmp_path, monkeypatch):
    pretrain(tmp_path / "seldom", steps=25)
    saved = []
    monkeypatch.setattr(loop_module, "save_state", lambda *a: (saved.append(a[1].step), save_state(*a)))
    pretrain(tmp_path / "often", steps=25, save_every="0.001s")
    assert len(saved) > 15
    assert weights(tmp_path / "often") == weights(tmp_path / "seldom")
    assert metrics(tmp_path / "often") == metrics(tmp_path / "seldom")


def test_batches_made_ahead_are_those_made_in_turn(pretrain, metrics, tmp_path, monkeypatch):
    pretrain(tmp_path / "in-turn", steps=25)
    monkeypatch.setattr(Batch, "pinned", lambda batch: batch)
    monkeypatch.setattr(loop_module, "Batches", lambda workload, _: Batches(workload, "cuda"))
    pretrain(tmp_path / "ahead", steps=25)
    assert weights(tmp_path / "ahead") == weights(tmp_path / "in-turn")
    assert metrics(tmp_path / "ahead") == metrics(tmp_path / "in-turn")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


# Parts of a batch


@pytest.mark.parametrize(
    "asked",
    [MASKED, MASKED | {"sequences": "truncated"}, {"infonce_weight": 0.0}, ALL_FOUR | {"infonce_weight": 0.0}],
    ids=["packed", "first", "pairs", "three-of-four"],
)
def test_a_batch_in_parts_has_the_same_gradient(pretrain, tmp_path, monkeypatch, asked):
    """Gradients, not weights: AdamW blows a difference of rounding up to the size of the learning rate."""
    found = []

    def update(self, rate):
        found.append([p.grad.to_dense() if p.grad.is_sparse else p.grad.clone() for p in self._named.values()])
        return torch.ones(())

    monkeypatch.setattr(Optimiser, "update", update)
    for parts in (1, 4):
        # 14 rows, 7 pairs: parts of different sizes, and with different counts of hidden tokens.
        pretrain(tmp_path / f"{parts}", steps=1, batch_size=14, gradient_accumulation_steps=parts, **asked)
    whole, parted = found
    assert max(gradient.abs().max().item() for gradient in whole) > 1e-3
    for one, other in zip(whole, parted, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)


def test_runs_in_parts_end_at_the_same_loss(pretrain, metrics, tmp_path):
    for parts in (1, 4):
        pretrain(tmp_path / f"{parts}", gradient_accumulation_steps=parts, **MASKED | {"sequences": "truncated"})
    one, four = (
        [line["minimised_loss"] for line in metrics(tmp_path / p) if "minimised_loss" in line] for p in ("1", "4")
    )
    assert four == pytest.approx(one, abs=1e-4)


# Learning


@pytest.mark.parametrize(("asked", "less"), [(MASKED, 1.0), ({}, 0.2)], ids=["hidden tokens", "pairs"])
def test_it_learns_more_than_frequencies(pretrain, shape, tmp_path, asked, less):
    config = shape(hidden_size=32, intermediate_size=128)
    said = pretrain(tmp_path / "model", config=config, steps=400, batch_size=32, learning_rate=5e-3, **asked)
    loss, known = (training(tmp_path / "model")[name] for name in ("validation_loss", "unigram_entropy"))
    assert loss < known - less
    assert f"(knowing only how frequent each token is: {known:.3f})" in said[-1]
    assert f"validation loss {loss:.3f}" in said[-1]
    assert not any("warning" in line for line in said)


def test_it_warns_where_it_has_learnt_no_more_than_frequencies(pretrain, tmp_path):
    said = pretrain(tmp_path / "model", steps=1)
    assert said[-1].startswith("warning: member 0 has learnt no more than how frequent tokens are")


def test_a_pre_trained_member_is_where_fine_tuning_starts(pretrain, finetune, tmp_path):
    pretrain(tmp_path / "base", steps=3)
    finetune(tmp_path / "classifier", start=tmp_path / "base", steps=1, learning_rate=1e-30)
    base = load_masked_language_model(tmp_path / "base").encoder.state_dict()
    found = load_classifier(tmp_path / "classifier")[0].encoder.state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in base.items())


def test_pieces_of_no_training_text_learn_by_their_characters(pretrain, finetune, task, tokenizer, tmp_path):
    pretrain(tmp_path / "base", steps=3)
    before = load_masked_language_model(tmp_path / "base").encoder.embeddings.word
    unseen = np.ones(tokenizer.vocab_size, bool)
    unseen[tokenizer.encode(task.train.texts)[0]] = False
    unseen[: len(SPECIAL_TOKENS)] = False
    alike = unseen & (character_ngrams(tokenizer) @ character_ngrams(tokenizer)[~unseen].T).getnnz(axis=1).astype(bool)
    assert alike.sum() > 3
    for characters in (True, False):
        folder = tmp_path / f"model-{characters}"
        finetune(folder, start=tmp_path / "base", characters=characters)
        moved = (load_classifier(folder)[0].encoder.embeddings.word - before).abs().amax(1).detach().numpy() > 0
        assert moved[alike].all() == moved[alike].any() == characters
        assert not moved[unseen & ~alike].any()
        names = load_file(folder / "model.safetensors")
        assert not any("characters" in name for name in names)


def test_fine_tuning_learns(finetune, tmp_path):
    finetune(tmp_path / "model", epochs=20, steps=None, learning_rate=0.01, long="truncate")
    assert training(tmp_path / "model")["validation"]["accuracy"] > 0.8


def test_fine_tuning_goes_on_to_its_end_and_keeps_the_last_weights(finetune, metrics, tmp_path, monkeypatch):
    """Also where validation was better before."""
    accuracies = [0.5, 0.9, *[0.6] * 8, 0.7]
    seen = []

    def validate(self):
        seen.append({name: tensor.clone() for name, tensor in self.model.state_dict().items()})
        return {"accuracy": accuracies[len(seen) - 1], "loss": 1.0}

    monkeypatch.setattr(Classification, "validate", validate)
    said = finetune(tmp_path / "model", characters=False)
    measured = [line for line in metrics(tmp_path / "model") if "validation" in line]
    assert [line["validation"]["accuracy"] for line in measured] == accuracies
    assert [line["step"] for line in measured] == list(range(0, 61, 6))
    found = load_classifier(tmp_path / "model")[0].state_dict()
    assert all(torch.equal(tensor, seen[-1][name]) for name, tensor in found.items())
    assert not torch.equal(seen[-2]["classifier.weight"], seen[-1]["classifier.weight"])
    assert training(tmp_path / "model")["updates"] == 60
    assert training(tmp_path / "model")["validation"] == {"accuracy": 0.7, "loss": 1.0}
    assert "validation accuracy 70.0 %" in said[-1]


def test_fine_tuning_moves_the_head_as_many_times_as_far_as_is_asked(finetune, tmp_path):
    def weights_after(name, **settings):
        finetune(tmp_path / name, steps=1, warmup_fraction=0.0, **settings)
        return load_classifier(tmp_path / name)[0].state_dict()

    start = weights_after("start", learning_rate=1e-30)
    once, thrice = (weights_after(f"{rate}", learning_rate=1e-3, head_lr_multiplier=rate) for rate in (1.0, 3.0))
    for name, before in start.items():
        if name.startswith("encoder."):
            assert torch.equal(once[name], thrice[name]), name
        else:
            moved = once[name] - before
            assert moved.abs().max() > 2e-4, name
            torch.testing.assert_close(thrice[name] - before, 3 * moved, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("asked", [{"label_smoothing": 0.5}, {"word_dropout": 0.5}, {"dropout": 0.5}])
def test_what_is_asked_of_fine_tuning_is_done(finetune, tmp_path, asked):
    plain = {"steps": 1, "warmup_fraction": 0.0, "label_smoothing": 0.0, "word_dropout": 0.0, "dropout": 0.0}
    finetune(tmp_path / "plain", **plain)
    finetune(tmp_path / "other", **(plain | asked))
    assert weights(tmp_path / "plain") != weights(tmp_path / "other")


@pytest.mark.parametrize(
    ("texts", "batch_size", "updates"),
    [
        (36_000, 32, 3375),
        (10_667, 32, 1001),
        (10_666, 32, 1000),
        (1260, 32, 1000),
        (640, 32, 1000),
        (216, 32, 338),
        (3, 32, 5),
    ],
)
def test_fine_tuning_takes_1000_updates_within_3_and_50_epochs(texts, batch_size, updates):
    assert default_updates(texts, batch_size) == updates


def test_fine_tuning_takes_as_long_where_nothing_is_asked(finetune, task, tmp_path, monkeypatch):
    asked = []

    class Asked(loop_module.Trainer):
        def run(self):
            asked.append(self.clock.steps)
            raise InterruptedByUserError

    monkeypatch.setattr("tinylm.train.classification.Trainer", Asked)
    with pytest.raises(InterruptedByUserError):
        finetune(tmp_path / "model", steps=None, batch_size=64)
    assert asked == [default_updates(len(hold_out(task.train, 0.1, member_seed(0, 0))[0]), 64)]
    assert asked[0] < 1000


# The learning rate


def rates_of(monkeypatch) -> list[float]:
    """Filled with the learning rate of each update."""
    rates = []
    honest = Optimiser.update
    monkeypatch.setattr(Optimiser, "update", lambda self, rate: (rates.append(rate), honest(self, rate))[1])
    return rates


def test_trainer_trains_at_the_first_update(pretrain, shape, tmp_path):
    config = shape()
    pretrain(tmp_path / "model", steps=1, config=config)
    start = MaskedLanguageModel(config)
    initialise(start, member_seed(0, 0))
    trained = load_masked_language_model(tmp_path / "model").state_dict()
    assert not torch.equal(trained["encoder.embeddings.word"], start.state_dict()["encoder.embeddings.word"])


def test_trainer_takes_the_rate_at_the_middle_of_an_update(pretrain, tmp_path, monkeypatch):
    rates = rates_of(monkeypatch)
    pretrain(tmp_path / "model", steps=8, warmup_fraction=0.25, learning_rate=1.0)
    middles = [(step + 0.5) / 8 for step in range(8)]
    assert rates == pytest.approx([m / 0.25 if m < 0.25 else (1 - m) / 0.75 for m in middles])


# The clock


@pytest.mark.slow
def test_a_budget_is_kept(pretrain, metrics, tmp_path):
    started = time.perf_counter()
    pretrain(tmp_path / "model", steps=None, budget="6s")
    spent = time.perf_counter() - started
    assert 6 * 0.95 - 0.5 < spent < 6 * 1.05 + 0.5
    lines = metrics(tmp_path / "model")
    assert [line["progress"] for line in lines if "validation" in line][-1] == 1
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    assert rates[-1] < 0.05 * max(rates)


def test_epochs_are_passes_over_the_data(pretrain, shape, tokens, tmp_path):
    documents = split_documents(len(tokens), 0)[0]
    stretches = len(Pairs(tokens, documents, shape().positions))
    assert stretches > len(documents)
    for name, asked, batches in (
        ("first", MASKED | {"sequences": "truncated"}, math.ceil(len(documents) / 32)),
        ("pairs", {}, math.ceil(stretches / 16)),
    ):
        pretrain(tmp_path / name, steps=None, epochs=1.5, batch_size=32, **asked)
        assert training(tmp_path / name)["updates"] == round(1.5 * batches)


# What goes wrong


def test_a_rate_beyond_reason_diverges(pretrain, tmp_path):
    with pytest.raises(DivergedError, match=r"training diverged: .* lower the learning rate \(it was 1e\+20\)"):
        pretrain(tmp_path / "model", learning_rate=1e20)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_training_and_keeps_the_checkpoint(pretrain, tmp_path, monkeypatch, poison):
    with pytest.raises(InterruptedByUserError):
        pretrain(tmp_path / "model", interrupt_at=7)
    kept = latest(tmp_path / "model.partial")
    before = weights(kept)
    honest = Pretraining.loss
    monkeypatch.setattr(
        Pretraining, "loss", lambda self, *a: {name: term * poison for name, term in honest(self, *a).items()}
    )
    with pytest.raises(DivergedError) as raised:
        pretrain(tmp_path / "model")
    assert f"a loss of {poison} with a gradient norm of nan at update 8" in str(raised.value)
    assert f"the last good checkpoint is {kept}" in str(raised.value)
    assert weights(kept) == before
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(kept / "model.safetensors").values())


def test_poisoned_weights_diverge_at_once(pretrain, tmp_path, monkeypatch):
    def poisoned(model, seed):
        initialise(model, seed)
        with torch.no_grad():
            model.head.dense.weight[0, 0] = math.nan

    monkeypatch.setattr("tinylm.train.pretrain.initialise", poisoned)
    with pytest.raises(DivergedError, match=r"at update 1; .*no checkpoint had been made yet"):
        pretrain(tmp_path / "model")


def test_a_loss_far_above_chance_is_divergence(pretrain, tokenizer, tmp_path, monkeypatch):
    honest = Pretraining.loss
    monkeypatch.setattr(
        Pretraining, "loss", lambda self, *a: {name: term * 4 for name, term in honest(self, *a).items()}
    )
    with pytest.raises(DivergedError, match=r"a mean loss of .* at update 20"):
        pretrain(tmp_path / "model", learning_rate=1e-9)


def test_a_gpu_without_memory_says_what_to_change(pretrain, tmp_path, monkeypatch):
    def without_memory(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Pretraining, "loss", without_memory)
    with pytest.raises(
        TinyLMError, match=r"update 1 does not fit into the memory of the GPU; lower batch_size, or raise"
    ):
        pretrain(tmp_path / "model")


class Pretended(DistributedContext):
    """Several processes of which there is one."""

    def main_process_first(self):
        return nullcontext()

    def wrap(self, model):
        return model


@pytest.mark.parametrize("asked", [MASKED | {"batch_size": 2}, {"batch_size": 4}], ids=["rows", "pairs"])
def test_a_batch_too_small_for_the_processes_is_refused(shape, tokens, tokenizer, listener, tmp_path, asked):
    """Also where there are rows enough, but not pairs."""
    rows = asked["batch_size"]
    with pytest.raises(InputError, match=f"a batch of {rows} sequences cannot be shared by 3 processes; raise batch"):
        pretrain_member(
            tmp_path / "model",
            0,
            shape(),
            tokens,
            tokenizer,
            PretrainSettings(**({"steps": 2, "precision": "float32"} | asked)),
            Pretended(0, 3, "cpu"),
            listener(),
        )


def test_little_space_is_noticed_before_training(pretrain, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(InputError, match=r"MB free and the checkpoints of this model need .* MB"):
        pretrain(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_space_is_asked_of_the_folder_that_is_there(tmp_path, monkeypatch, shape):
    asked = []
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or usage)
    require_space(tmp_path / "a" / "b", MaskedLanguageModel(shape()))
    assert asked == [tmp_path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("file", ["model", "optimiser", "state"])
def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(pretrain, tmp_path, monkeypatch, file, number):
    with pytest.raises(InterruptedByUserError):
        pretrain(tmp_path / "model", interrupt_at=5)
    kept = latest(tmp_path / "model.partial")

    def failing(write, named):
        def attempt(*arguments):
            if any(str(getattr(a, "name", "")).startswith(file) for a in arguments):
                named(arguments).write_bytes(b"half")
                raise OSError(number, os.strerror(number))
            return write(*arguments)

        return attempt

    monkeypatch.setattr(state_module, "save_file", failing(state_module.save_file, lambda a: a[1]))
    monkeypatch.setattr(state_module, "write_json", failing(state_module.write_json, lambda a: a[0]))
    with pytest.raises(TinyLMError, match="cannot write the checkpoint") as raised:
        pretrain(tmp_path / "model", interrupt_at=9)
    assert os.strerror(number) in str(raised.value)
    assert f"the last whole checkpoint is {kept}; free some space and resume" in str(raised.value)
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    monkeypatch.undo()
    pretrain(tmp_path / "model")
    pretrain(tmp_path / "whole")
    assert weights(tmp_path / "model") == weights(tmp_path / "whole")


def test_the_first_checkpoint_can_fail_too(pretrain, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(state_module, "save_file", full)
    with pytest.raises(TinyLMError, match="no checkpoint was made before; free some space"):
        pretrain(tmp_path / "model", interrupt_at=2)
    assert latest(tmp_path / "model.partial") is None


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_really_fills_up(small_disk, shape):
    model = MaskedLanguageModel(shape())
    initialise(model, 0)
    optimiser = Optimiser(model, TrainingSettings(steps=1))
    save_state(small_disk, State(step=1), model, optimiser)
    (small_disk / "other").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 8192))
    with pytest.raises(TinyLMError, match=r"cannot write the checkpoint .*; the last whole checkpoint is .*step-0*1;"):
        save_state(small_disk, State(step=2), model, optimiser)
    assert [path.name for path in (small_disk / "checkpoints").iterdir()] == ["step-000000001"]
    (small_disk / "other").unlink()
    assert load_state(small_disk, model, optimiser) == State(step=1)


def test_a_state_comes_back_whole(shape, tmp_path):
    model = MaskedLanguageModel(shape())
    initialise(model, 0)
    optimiser = Optimiser(model, TrainingSettings(steps=1))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.update(0.1)
    state = State(3, 4, 5.5, 6, 7, [0.1, 1 / 3], {"loss": 1 / 7})
    save_state(tmp_path, state, model, optimiser)
    other = MaskedLanguageModel(shape())
    assert load_state(tmp_path, other, Optimiser(other, TrainingSettings(steps=1))) == state
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
    assert load_state(tmp_path / "elsewhere", other, optimiser) is None
