"""Models small enough to compare exhaustively, with weights large enough that every part of them matters."""

import pytest
import torch

from tinylm.model.config import ModelConfig
from tinylm.model.front_ends.base import NoFrontEnd
from tinylm.model.front_ends.conv2d import Conv2dFrontEnd
from tinylm.model.front_ends.depthwise import DepthwiseFrontEnd

FRONT_ENDS = {
    "none": NoFrontEnd(),
    "conv2d-3-3": Conv2dFrontEnd(kernels=(3, 3), channels=3),
    "conv2d-16-3": Conv2dFrontEnd(kernels=(16, 3), channels=2),
    "depthwise-5": DepthwiseFrontEnd(kernel=5),
    "depthwise-4": DepthwiseFrontEnd(kernel=4),
}


@pytest.fixture(scope="session", params=FRONT_ENDS)
def front_end(request):
    return FRONT_ENDS[request.param]


@pytest.fixture(scope="session")
def shape():
    """Makes tiny shapes."""

    def make(**changes) -> ModelConfig:
        tiny = {
            "vocab_size": 60,
            "hidden_size": 24,
            "heads": 3,
            "intermediate_size": 40,
            "positions": 48,
        }
        return ModelConfig(**(tiny | changes))

    return make


@pytest.fixture(scope="session")
def scramble():
    """Fills all weights, biases and statistics of a model with numbers of like size."""

    def fill(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, tensor in model.state_dict().items():
                if not tensor.is_floating_point():
                    continue
                noise = torch.randn(tensor.shape, generator=generator)
                if name.endswith("running_var"):
                    tensor.copy_(noise.square() + 0.5)
                elif "norm" in name.lower() and name.endswith("weight"):
                    tensor.copy_(1 + 0.2 * noise)
                else:
                    tensor.copy_(noise * (0.25 if tensor.ndim > 1 else 0.2))
        return model

    return fill
