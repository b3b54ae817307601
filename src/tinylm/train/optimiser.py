"""AdamW (Loshchilov & Hutter, 2019), with its state as named tensors, and gradient clipping.

An embedding whose gradient is sparse gets lazy Adam: rows that no text of the batch uses keep their value and
their moments, and there is no weight decay on it. All else is plain AdamW.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tinylm.core.errors import InputError
from tinylm.train.settings import TrainingSettings

BETAS = (0.9, 0.98)
"""The second of RoBERTa (Liu et al., 2019, section 3.1)."""
EPSILON = 1e-8


class Optimiser:
    """AdamW over a model's parameters; see the module.

    Args:
        model: its encoder is called `encoder`, and all else is its head.
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
        self._sparse = {id(parameter) for parameter in sparse}
        named = dict(model.named_parameters())
        self._named = {name: p for name, p in named.items() if id(p) not in self._sparse}
        groups = [
            {
                "params": [
                    p
                    for name, p in self._named.items()
                    if (p.ndim > 1) == are_matrices and name.startswith("encoder.") != are_head
                ],
                "weight_decay": settings.weight_decay if are_matrices else 0.0,
                "rate": head_lr_multiplier if are_head else 1.0,
            }
            for are_matrices in (True, False)
            for are_head in (False, True)
        ]
        self._clip = settings.max_grad_norm
        self._optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON, fused=True)
        ]
        if sparse:
            sparse_groups = [{"params": [parameter], "rate": rate} for parameter, rate in sparse.items()]
            self._optimisers.append(torch.optim.SparseAdam(sparse_groups, lr=1e-3, betas=BETAS, eps=EPSILON))
            self._named |= {name: p for name, p in named.items() if id(p) in self._sparse}

    def update(self, learning_rate: float) -> Tensor:
        """Clip the gradients, take a step, forget the gradients.

        Args:
            learning_rate: of the encoder.

        Returns:
            The norm of the gradient before clipping; see `clip_gradients`.
        """
        norm = clip_gradients(list(self._named.values()), self._clip)
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * group.get("rate", 1.0)
            optimiser.step()
            optimiser.zero_grad()
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """The state: moments and step counts, named after their parameters."""
        return {
            f"{name}/{key}": torch.as_tensor(value)
            for name, parameter in self._named.items()
            for key, value in self._state_of(parameter).items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over a state made by `tensors`.

        Raises:
            InputError: it belongs to another model.
        """
        left = set(tensors)
        for name, parameter in self._named.items():
            keys = ("step", "exp_avg", "exp_avg_sq")
            if any(f"{name}/{key}" not in tensors for key in keys):
                raise InputError(f"the saved optimiser has no state for {name}; it belongs to another model")
            values = {key: tensors[f"{name}/{key}"] for key in keys}
            if values["exp_avg"].shape != parameter.shape:
                raise InputError(f"the saved optimiser has another shape for {name}; it belongs to another model")
            self._state_of(parameter, values)
            left -= {f"{name}/{key}" for key in keys}
        if left:
            raise InputError(f"the saved optimiser has a state too many, {min(left)}; it belongs to another model")

    def _state_of(self, parameter: nn.Parameter, new: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        sparse = id(parameter) in self._sparse
        state = self._optimisers[int(sparse)].state
        if new is not None:
            moved = {key: value.to(parameter.device) for key, value in new.items()}
            # SparseAdam counts in a Python integer, AdamW in a tensor.
            state[parameter] = {**moved, "step": int(new["step"])} if sparse else moved
        return state[parameter]  # type: ignore[no-any-return]


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
