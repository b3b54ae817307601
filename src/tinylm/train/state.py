"""What a run needs to go on as if it had never stopped, written whole beside what it is making.

A run keeps `checkpoints/step-N/` with the weights, the optimiser's moments and `state.json`.
A new one gets its name only when it is complete, and the one before is deleted only then.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tinylm.core.errors import InputError, TinyLMError
from tinylm.core.files import new_folder, write_json
from tinylm.train.optimiser import Optimiser

_CHECKPOINTS = "checkpoints"


@dataclass
class State:
    """How far a run is.

    Attributes:
        step: updates made.
        tokens: tokens seen.
        seconds: wall-clock time spent.
        evaluations: validations made.
        records: lines of metrics written.
        recent_loss: losses not yet part of a line.
        validation: the measures of the last validation.
        training: the same of training data, where the workload has them.
        finished: whether the validation after the last update was made.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    evaluations: int = 0
    records: int = 0
    recent_loss: list[float] = field(default_factory=list)
    validation: dict[str, float] = field(default_factory=dict)
    training: dict[str, float] = field(default_factory=dict)
    finished: bool = False


def save_state(folder: Path, state: State, model: nn.Module, optimiser: Optimiser) -> None:
    """Write a checkpoint and delete the one before.

    Raises:
        TinyLMError: the disk is full; the checkpoint before is still there.
    """
    target = folder / _CHECKPOINTS / f"step-{state.step:09d}"
    try:
        with new_folder(target) as temporary:
            save_file(_contiguous(model.state_dict()), temporary / "model.safetensors")
            save_file(_contiguous(optimiser.tensors()), temporary / "optimiser.safetensors")
            write_json(temporary / "state.json", vars(state))
    except (OSError, SafetensorError) as error:
        kept = latest(folder)
        where = f"the last whole checkpoint is {kept}" if kept else "no checkpoint was made before"
        raise TinyLMError(
            f"cannot write the checkpoint {target} ({error}); {where}; free some space and resume"
        ) from error
    for other in (folder / _CHECKPOINTS).iterdir():
        if other != target:
            shutil.rmtree(other, ignore_errors=True)


def load_state(folder: Path, model: nn.Module, optimiser: Optimiser) -> State | None:
    """Fill model and optimiser from the latest checkpoint; None where there is none.

    Raises:
        InputError: the checkpoint is of another model.
    """
    found = latest(folder)
    if found is None:
        return None
    stored = json.loads((found / "state.json").read_text(encoding="utf-8"))
    weights = load_file(found / "model.safetensors")
    ours = model.state_dict()
    for name in sorted(ours.keys() | weights.keys()):
        if name not in ours or name not in weights or ours[name].shape != weights[name].shape:
            raise InputError(
                f"{found} was made by a model of another shape ({name} differs); "
                "resume with the settings it was started with, or choose another output folder"
            )
    model.load_state_dict(weights)
    optimiser.restore(load_file(found / "optimiser.safetensors"))
    return State(**stored)


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run."""
    return max((folder / _CHECKPOINTS).glob("step-*"), default=None)


def require_space(folder: Path, model: nn.Module) -> None:
    """Notice a full disk before training starts.

    Two checkpoints stand side by side for a moment, each with the weights and two moments.

    Raises:
        InputError: there is too little room.
    """
    parameters = sum(p.numel() for p in model.parameters())
    needed = 2 * 3 * 4 * parameters
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputError(
            f"{existing} has {free / 2**20:,.0f} MB free and the checkpoints of this model need "
            f"{needed / 2**20:,.0f} MB; free some space or choose another output folder"
        )


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
