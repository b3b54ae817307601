"""AdamW (Loshchilov & Hutter, 2019), with its state as named tensors, and gradient clipping.

An embedding whose gradient is sparse gets lazy Adam: rows that no text of the batch uses keep their value and
their moments, and there is no weight decay on it. All else is plain AdamW.

The classes of `torch.optim` import PyTorch's compiler with the first of them that is made: two to three seconds and
70 MB for each process that trains. The function that they call for an update does not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from tinylm.core.errors import InputError
from tinylm.train.settings import TrainingSettings

BETAS = (0.9, 0.98)
"""The second of RoBERTa (Liu et al., 2019, section 3.1)."""
EPSILON = 1e-8


class Optimiser:
    """AdamW over a model's parameters; see the module.

    Args:
        model: its encoder is called `encoder`, and all else is its head; it is on the device of its training.
        settings: weight decay of matrices, clipping.
        sparse: parameters whose gradients are sparse, each with its learning rate as a multiple of the encoder's.
        head_lr_multiplier: learning rate of the head, as a multiple of the encoder's.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: TrainingSettings,
        *,
        sparse: Mapping[nn.Parameter, float] | None = None,
        head_lr_multiplier: float = 1.0,
    ) -> None:
        sparse = sparse or {}
        self._named = dict(model.named_parameters())
        self._lazy = {name: sparse[parameter] for name, parameter in self._named.items() if parameter in sparse}
        self._groups = [
            _Group(
                [
                    name
                    for name, parameter in self._named.items()
                    if name not in self._lazy
                    and (parameter.ndim > 1) == are_matrices
                    and name.startswith("encoder.") != are_head
                ],
                settings.weight_decay if are_matrices else 0.0,
                head_lr_multiplier if are_head else 1.0,
            )
            for are_matrices in (True, False)
            for are_head in (False, True)
        ]
        # Lazy updates compute with the number of steps on the CPU, and asking a GPU for it is to wait for it.
        self._state = {
            name: _State.begin(parameter, "cpu" if name in self._lazy else parameter.device)
            for name, parameter in self._named.items()
        }
        self._clip = settings.max_grad_norm

    @torch.no_grad()
    def update(self, learning_rate: float) -> Tensor:
        """Clip the gradients, take a step, forget the gradients.

        Args:
            learning_rate: of the encoder.

        Returns:
            The norm of the gradient before clipping; see `clip_gradients`.
        """
        norm = clip_gradients(list(self._named.values()), self._clip)
        for group in self._groups:
            used = {name: gradient for name in group.names if (gradient := self._named[name].grad) is not None}
            _adamw(
                [self._named[name] for name in used],
                list(used.values()),
                [self._state[name] for name in used],
                learning_rate * group.rate,
                group.weight_decay,
            )
        for name, rate in self._lazy.items():
            if (gradient := self._named[name].grad) is not None:
                _lazy_adam(self._named[name], gradient, self._state[name], learning_rate * rate)
        for parameter in self._named.values():
            parameter.grad = None
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """The state: moments and step counts, named after their parameters."""
        return {f"{name}/{key}": value for name, state in self._state.items() for key, value in vars(state).items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over a state made by `tensors`.

        Raises:
            InputError: it belongs to another model.
        """
        for name, state in self._state.items():
            for key, value in vars(state).items():
                saved = tensors.get(f"{name}/{key}")
                if saved is None:
                    raise InputError(f"the saved optimiser has no state for {name}; it belongs to another model")
                if saved.shape != value.shape:
                    raise InputError(f"the saved optimiser has another shape for {name}; it belongs to another model")
                value.copy_(saved)
        left = tensors.keys() - self.tensors().keys()
        if left:
            raise InputError(f"the saved optimiser has a state too many, {min(left)}; it belongs to another model")


@dataclass(frozen=True)
class _Group:
    """Parameters that are updated alike."""

    names: list[str]
    weight_decay: float
    rate: float
    """A multiple of the encoder's learning rate."""


@dataclass(frozen=True)
class _State:
    """Of a parameter: how often it was updated, and the means of its gradient and of its square."""

    step: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor

    @classmethod
    def begin(cls, parameter: nn.Parameter, device_of_step: torch.device | str) -> "_State":
        values = parameter.detach()
        return cls(torch.zeros((), device=device_of_step), torch.zeros_like(values), torch.zeros_like(values))


def _adamw(
    parameters: list[Tensor],
    gradients: list[Tensor],
    states: list[_State],
    learning_rate: float,
    weight_decay: float,
) -> None:
    adamw(
        parameters,
        gradients,
        [state.exp_avg for state in states],
        [state.exp_avg_sq for state in states],
        [],
        [state.step for state in states],
        fused=True,
        amsgrad=False,
        beta1=BETAS[0],
        beta2=BETAS[1],
        lr=learning_rate,
        weight_decay=weight_decay,
        eps=EPSILON,
        maximize=False,
    )


def _lazy_adam(parameter: Tensor, gradient: Tensor, state: _State, learning_rate: float) -> None:
    """Of the rows that the gradient has, as `torch.optim.SparseAdam`."""
    rows, values = gradient.indices()[0], gradient.values()
    state.step.add_(1)
    mean = state.exp_avg[rows].lerp_(values, 1 - BETAS[0])
    square = state.exp_avg_sq[rows].lerp_(values.square(), 1 - BETAS[1])
    state.exp_avg[rows], state.exp_avg_sq[rows] = mean, square
    steps = int(state.step)
    rate = learning_rate * math.sqrt(1 - BETAS[1] ** steps) / (1 - BETAS[0] ** steps)
    parameter.index_add_(0, rows, mean.div_(square.sqrt_().add_(EPSILON)), alpha=-rate)


def clip_gradients(parameters: list[nn.Parameter], largest: float) -> Tensor:
    """Scale all gradients down so that their common norm is at most `largest`.

    Returns:
        The norm before (Euclidean, over dense and sparse gradients together), a scalar on the gradients' device.
    """
    gradients = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            gradients.append(parameter.grad.values())
        else:
            gradients.append(parameter.grad)
    if not gradients:
        return torch.zeros(())
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    # To ask a GPU for the norm is to wait for it; on a CPU, to scale by 1 is to read and write all gradients.
    if norm.is_cuda or norm > largest:
        torch._foreach_mul_(gradients, (largest / norm).clamp(max=1.0))
    return norm
