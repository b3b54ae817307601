"""docs/SCIKIT_LEARN.md does what it says: its blocks run in their order."""

import re
import shlex
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from cli_fixtures import call, write_help_desk

PAGE = (Path(__file__).parents[1] / "docs" / "SCIKIT_LEARN.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|console)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SHORT = (
    ('budget="10m"', 'steps=2, preset="bert-1-w128", precision="float32"'),
    ('labels=frame["label"])', 'labels=frame["label"], steps=2, search=False, precision="float32")'),
    ('label_column="label")', 'label_column="label", steps=2, search=False, precision="float32")'),
    ("random_state=0", 'random_state=0, steps=2, search=False, precision="float32"'),
)


@pytest.mark.slow
def test_the_blocks_run_in_their_order(tmp_path, monkeypatch, capsys):
    write_help_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for language, block in BLOCKS:
        if language == "python":
            exec(reduce(lambda text, pair: text.replace(*pair), SHORT, block), names)
        else:
            for line in block.splitlines():
                ran = call(*shlex.split(line.removeprefix("$ tinylm ")))
                assert ran.code == 0, ran.err
    printed = capsys.readouterr().out
    assert "['account' 'network' 'printer']" in printed and "learning_rate" in printed
    assert names["vectors"].shape == (60, 256) and len(names["committee"]) == 2
    np.testing.assert_allclose(np.load("vectors.npy"), names["base"].encode(names["frame"]["text"]), atol=1e-5)


def test_what_is_shortened_is_there():
    assert all(any(long in block for _, block in BLOCKS) for long, _ in SHORT)
