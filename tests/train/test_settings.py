"""Contradictions are refused when settings are made, in a sentence."""

from dataclasses import FrozenInstanceError

import pytest

from tinylm.errors import InputError
from tinylm.train.settings import FinetuneSettings, PretrainSettings

BOTH = (PretrainSettings, FinetuneSettings)


@pytest.mark.parametrize("kind", BOTH)
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
def test_refused_of_both_jobs(kind, given, message):
    with pytest.raises(InputError, match=message):
        kind(**given)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (PretrainSettings, {"mask_rate": 0.0}, r"mask_rate is 0\.0"),
        (PretrainSettings, {"mask_rate": 1.0}, r"mask_rate is 1\.0"),
        (FinetuneSettings, {"validation": 0.0}, r"validation is 0\.0"),
        (FinetuneSettings, {"validation": 1.0}, r"validation is 1\.0"),
        (FinetuneSettings, {"patience": 0}, "patience is 0; it must be at least 1"),
    ],
)
def test_refused_of_one_job(kind, given, message):
    with pytest.raises(InputError, match=message):
        kind(**given)


@pytest.mark.parametrize("kind", BOTH)
def test_defaults_and_each_end_are_fine(kind):
    for given in ({}, {"budget": "1h30m"}, {"steps": 1}, {"epochs": 0.5}, {"warmup": 0.0, "dropout": 0.0}):
        kind(**given)


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        PretrainSettings().seed = 3
