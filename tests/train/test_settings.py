"""Contradictions are refused when settings are made, in a sentence."""

from dataclasses import FrozenInstanceError

import pytest

from tinylm.errors import InputError
from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings

ALL = (PretrainSettings, FinetuneSettings, DistillSettings)
CLASSIFIERS = ALL[1:]
NO_NEIGHBOUR = {"neighbour_words": 0.0, "contrast": 0.0}


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
        ({"accumulation": 0}, "accumulation is 0"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0"),
        ({"clip": 0.0}, r"clip is 0\.0"),
        ({"warmup": 1.0}, r"warmup is 1\.0; it must be at least 0 and below 1"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
        ({"dropout": -0.1}, r"dropout is -0\.1"),
        ({"weight_decay": -0.1}, r"weight_decay is -0\.1; it must be at least 0"),
        ({"batch_size": 4, "accumulation": 5}, "accumulation 5 cuts a batch of 4 rows"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ],
)
def test_refused_of_all_jobs(kind, given, message):
    with pytest.raises(InputError, match=message):
        kind(**given)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (PretrainSettings, {"mask_rate": 0.0}, r"mask_rate is 0\.0"),
        (PretrainSettings, {"mask_rate": 1.0}, r"mask_rate is 1\.0"),
        *(
            (PretrainSettings, {name: value}, rf"{name} is {value}; it must be at least 0")
            for name in ("masked_tokens", "bag_of_words", "neighbour_words", "contrast")
            for value in (-0.5, float("nan"))
        ),
        (PretrainSettings, {"bag_of_words": 0.0, "neighbour_words": 0.0}, "are all 0, so no word is learnt; raise one"),
        (PretrainSettings, {"batch_size": 1}, "batch_size is 1, and a pair is 2 rows; raise it"),
        *(
            (PretrainSettings, NO_NEIGHBOUR | {"rows": rows, name: 0.1}, rf"rows {rows} have .*; set {name} to 0")
            for rows in ("packed", "first")
            for name in ("neighbour_words", "contrast")
        ),
        *(
            (kind, {name: value}, rf"{name} is {value}; it must be at least 0 and below 1")
            for kind, name in (*((kind, "word_dropout") for kind in CLASSIFIERS), (FinetuneSettings, "label_smoothing"))
            for value in (1.0, -0.1, float("nan"))
        ),
        *(
            (FinetuneSettings, {"validation": value}, rf"validation is {value}; it must be above 0 and below 1")
            for value in (0.0, 1.0)
        ),
        *(
            (FinetuneSettings, {"head_rate": value}, rf"head_rate is {value}; it must be above 0")
            for value in (0.0, -1.0, float("nan"))
        ),
    ],
)
def test_refused_of_some_jobs(kind, given, message):
    with pytest.raises(InputError, match=message):
        kind(**given)


@pytest.mark.parametrize("kind", ALL)
def test_defaults_and_each_end_are_fine(kind):
    for given in ({}, {"budget": "1h30m"}, {"steps": 1}, {"epochs": 0.5}, {"warmup": 0.0, "dropout": 0.0}):
        kind(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"batch_size": 2},
        {"contrast": 0.0},
        {"bag_of_words": 0.0},
        {"masked_tokens": 1.0, "bag_of_words": 0.0, "neighbour_words": 0.0},
        {"rows": "packed", "batch_size": 1, **NO_NEIGHBOUR},
        {"rows": "first", "masked_tokens": 1.0, "bag_of_words": 0.0, **NO_NEIGHBOUR},
    ],
)
def test_each_way_to_learn_words_is_fine(given):
    PretrainSettings(**given)


def test_no_word_dropout_no_smoothing_and_a_slow_head_are_fine():
    FinetuneSettings(word_dropout=0.0, label_smoothing=0.0, head_rate=0.1)
    DistillSettings(word_dropout=0.0)


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        PretrainSettings().seed = 3
