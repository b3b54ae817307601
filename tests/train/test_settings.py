"""Contradictions are refused when settings are made, in a sentence."""

from dataclasses import FrozenInstanceError

import pytest

from tinylm.core.errors import InputError
from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings

ALL = (PretrainSettings, FinetuneSettings, DistillSettings)
CLASSIFIERS = ALL[1:]
NO_NEIGHBOUR = {"context_bow_weight": 0.0, "infonce_weight": 0.0}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budget": "1m", "steps": 3}, "budget and steps both say when training ends; give only one"),
        ({"budget": "1m", "epochs": 3}, "budget and epochs both say"),
        ({"steps": 1, "epochs": 3}, "steps and epochs both say"),
        ({"budget": "1m", "steps": 1, "epochs": 3}, "budget and steps and epochs"),
        ({"budget": "soon"}, "'soon' is not a duration"),
        ({"save_every": "often"}, "'often' is not a duration"),
        ({"steps": 0}, "steps is 0; it must be above 0"),
        ({"epochs": -1.0}, r"epochs is -1\.0; it must be above 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps is 0"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0"),
        ({"max_grad_norm": 0.0}, r"max_grad_norm is 0\.0"),
        ({"warmup_fraction": 1.0}, r"warmup_fraction is 1\.0; it must be at least 0 and below 1"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
        ({"dropout": -0.1}, r"dropout is -0\.1"),
        ({"weight_decay": -0.1}, r"weight_decay is -0\.1; it must be at least 0"),
        (
            {"batch_size": 4, "gradient_accumulation_steps": 5},
            "gradient_accumulation_steps 5 cuts a batch of 4 sequences",
        ),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ],
)
def test_refused_of_all_jobs(kind, given, message):
    with pytest.raises(InputError, match=message):
        kind(**given)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (PretrainSettings, {"mlm_probability": 0.0}, r"mlm_probability is 0\.0"),
        (PretrainSettings, {"mlm_probability": 1.0}, r"mlm_probability is 1\.0"),
        *(
            (PretrainSettings, {name: value}, rf"{name} is {value}; it must be at least 0")
            for name in ("mlm_weight", "bow_weight", "context_bow_weight", "infonce_weight")
            for value in (-0.5, float("nan"))
        ),
        (
            PretrainSettings,
            {"bow_weight": 0.0, "context_bow_weight": 0.0},
            "are all 0, so no word is learnt; raise one",
        ),
        (PretrainSettings, {"batch_size": 1}, "batch_size is 1, and a pair is 2 rows; raise it"),
        *(
            (
                PretrainSettings,
                NO_NEIGHBOUR | {"sequences": rows, name: 0.1},  # type: ignore[dict-item]
                rf"{rows} sequences have .*; set {name} to 0",
            )
            for rows in ("packed", "truncated")
            for name in ("context_bow_weight", "infonce_weight")
        ),
        *(
            (kind, {name: value}, rf"{name} is {value}; it must be at least 0 and below 1")
            for kind, name in (*((kind, "word_dropout") for kind in CLASSIFIERS), (FinetuneSettings, "label_smoothing"))
            for value in (1.0, -0.1, float("nan"))
        ),
        *(
            (
                FinetuneSettings,
                {"validation_fraction": value},
                rf"validation_fraction is {value}; it must be above 0 and below 1",
            )
            for value in (0.0, 1.0)
        ),
        *(
            (FinetuneSettings, {"head_lr_multiplier": value}, rf"head_lr_multiplier is {value}; it must be above 0")
            for value in (0.0, -1.0, float("nan"))
        ),
    ],
)
def test_refused_of_some_jobs(kind, given, message):
    with pytest.raises(InputError, match=message):
        kind(**given)


@pytest.mark.parametrize("kind", ALL)
def test_defaults_and_each_end_are_fine(kind):
    for given in ({}, {"budget": "1h30m"}, {"steps": 1}, {"epochs": 0.5}, {"warmup_fraction": 0.0, "dropout": 0.0}):
        kind(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"batch_size": 2},
        {"infonce_weight": 0.0},
        {"bow_weight": 0.0},
        {"mlm_weight": 1.0, "bow_weight": 0.0, "context_bow_weight": 0.0},
        {"sequences": "packed", "batch_size": 1, **NO_NEIGHBOUR},
        {"sequences": "truncated", "mlm_weight": 1.0, "bow_weight": 0.0, **NO_NEIGHBOUR},
    ],
)
def test_each_way_to_learn_words_is_fine(given):
    PretrainSettings(**given)


def test_no_word_dropout_no_smoothing_and_a_slow_head_are_fine():
    FinetuneSettings(word_dropout=0.0, label_smoothing=0.0, head_lr_multiplier=0.1)
    DistillSettings(word_dropout=0.0)


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        PretrainSettings().seed = 3  # type: ignore[misc]
