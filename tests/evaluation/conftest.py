"""A model that was trained on a labelled file."""

import pytest
from cli_fixtures import rows, write_csv

from tinylm.core.runs import claim
from tinylm.text.sources import TaskSource


@pytest.fixture
def trained(tmp_path):
    """A labelled file and the folder of a model that was trained on it, with seed 7."""
    source = TaskSource(str(tmp_path / "labels.csv"))
    write_csv(tmp_path / "labels.csv", rows(60, 1))
    task = source.load(7)
    record = {"task_source": vars(source), "task_fingerprint": task.fingerprint, "settings": {"seed": 7}}
    claim(tmp_path / "model", record, resume=False)
    return tmp_path / "model", source, task
