"""Front-ends are stored and found by their kind."""

from dataclasses import dataclass

import pytest

from tinylm.model.config import ModelConfig
from tinylm.model.front_ends.base import NoFrontEnd, front_end_json, read_front_end
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd
from tinylm.model.layout import config_json


@dataclass(frozen=True, kw_only=True)
class Renamed(DepthwiseFrontEnd):
    """Another name, the same computation."""


@pytest.mark.parametrize("front_end", [Conv2dFrontEnd(kernels=(3, 2), channels=4), DepthwiseFrontEnd(kernel=5)])
def test_front_end_is_read_back_from_what_is_written(front_end):
    assert read_front_end(front_end_json(front_end)) == front_end


def test_front_end_of_folders_written_before_opens():
    assert read_front_end({"type": "conv2d", "kernels": [16, 3], "channels": 8}) == Conv2dFrontEnd(
        kernels=(16, 3), channels=8
    )
    assert read_front_end({"type": "depthwise", "kernel": 5}) == DepthwiseFrontEnd(kernel=5)
    assert read_front_end(None) == NoFrontEnd()


def test_front_end_of_another_class_name_keeps_its_kind():
    stored = config_json(ModelConfig(front_end=Renamed(kernel=3)), "BertForMaskedLM", 0)
    assert stored["front_end"] == {"type": "depthwise", "kernel": 3}
    assert read_front_end(stored["front_end"]) == DepthwiseFrontEnd(kernel=3)


def test_front_end_of_none_is_absent():
    stored = config_json(ModelConfig(), "BertForMaskedLM", 0)
    assert stored["model_type"] == "bert" and "front_end" not in stored


def test_front_end_cannot_take_the_kind_of_another():
    with pytest.raises(TypeError, match=r"the kind 'conv2d' is that of tinylm.model.front_ends.conv2d.Conv2dFrontEnd"):

        class Other(NoFrontEnd):
            kind = "conv2d"
