"""Old names of settings: refused where they are given, read where they are stored."""

import json

import pytest
from cli_fixtures import call

from tinylm.core.errors import InputError
from tinylm.core.renamed import RENAMED, refuse_old_names, with_current_names
from tinylm.core.runs import read_record


@pytest.mark.parametrize("old", RENAMED)
def test_flags_by_their_old_names_are_refused_with_the_new_one(old):
    flag, new = (f"--{name.replace('_', '-')}" for name in (old, RENAMED[old]))
    ran = call("pretrain", "--corpus", "notes.txt", flag, "1", "-o", "new")
    assert (ran.code, ran.error) == (2, f"{flag} is now called {new}; use that name")
    ran = call("train", "--corpus", "notes.txt", "--task", "x.csv", f"--finetune.{flag[2:]}=1", "-o", "new")
    assert ran.error == f"--finetune.{flag[2:]} is now called --finetune.{new[2:]}; use that name"


def test_keys_of_toml_by_their_old_names_are_refused_with_the_new_one(tmp_path):
    path = tmp_path / "fast.toml"
    path.write_text("[train.finetune]\nhead_rate = 2.0\n")
    ran = call("--config", path, "train", "--corpus", "notes.txt", "--task", "x.csv", "-o", "new")
    told = f"{path}, [train]: finetune.head_rate is now called finetune.head_lr_multiplier; use that name"
    assert (ran.code, ran.error) == (2, told)


def test_refuse_old_names_lets_the_new_ones_pass():
    refuse_old_names([*RENAMED.values(), "budget", "finetune.steps"])
    with pytest.raises(InputError, match="clip is now called max_grad_norm"):
        refuse_old_names(["clip"])


def test_a_record_of_an_earlier_version_is_read_under_the_names_of_today(tmp_path):
    stored = {"task": "a", "settings": {"rows": "first", "validation": 0.2, "seed": 3}, "distillation": {"clip": 1.0}}
    (tmp_path / "run.json").write_text(json.dumps(stored))
    assert read_record(tmp_path) == {
        "task": "a",
        "settings": {
            "sequences": "truncated",
            "validation_fraction": 0.2,
            "seed": 3,
            "bigrams": False,
            "search": False,
            "long": "truncate",
        },
        "distillation": {"max_grad_norm": 1.0},
    }
    assert with_current_names({"mask_rate": 0.1}) == {"mlm_probability": 0.1}
