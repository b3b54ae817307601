"""Named random generators: every draw comes from (seed, purpose, step, rank) and nothing reads a global one.

Two draws with different names are independent; the same name gives the same draw on every machine, in any order.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, purpose: str, *keys: int) -> int:
    """A 63-bit seed for one purpose.

    Args:
        seed: the seed of the whole run.
        purpose: what is drawn, as a word: `"weights"`, `"masks"`, `"order"`.
        keys: further coordinates, usually the step and the rank.
    """
    name = "/".join([str(seed), purpose, *map(str, keys)])
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") >> 1


def member_seed(seed: int, index: int) -> int:
    """The seed of one member of a committee, from which its weights, its order and its validation part come."""
    return derive_seed(seed, "member", index)


def numpy_generator(seed: int, purpose: str, *keys: int) -> np.random.Generator:
    """A NumPy generator for one purpose; see `derive_seed`."""
    return np.random.default_rng(derive_seed(seed, purpose, *keys))


def torch_generator(seed: int, purpose: str, *keys: int, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A torch generator for one purpose on one device; see `derive_seed`."""
    import torch  # noqa: PLC0415  the base installation has no torch

    return torch.Generator(device).manual_seed(derive_seed(seed, purpose, *keys))
