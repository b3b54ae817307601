"""Which sequences an update sees, as a pure function of seed and step."""

from functools import lru_cache

import numpy as np

from tinylm.core.seeds import numpy_generator

_WINDOW = 32
"""Batches in which sequences are sorted by length: enough for little padding, few enough to stay in random order."""


class LengthGroupedSampler:
    """The order in which sequences are seen: shuffled anew each epoch, sequences of like length together.

    Args:
        lengths: (sequences,) tokens of each.
        batch_size: sequences a batch at most; batches of an epoch differ by one at most, and none is left out.
        seed: of the run.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._seed = seed
        self._batch_size = batch_size
        self.batches_per_epoch = -(-len(lengths) // batch_size)
        # Batches that are made ahead may be of the next epoch.
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def batch(self, step: int) -> np.ndarray:
        """Indices of the sequences that update `step` sees."""
        epoch, position = divmod(step, self.batches_per_epoch)
        return self._epoch(epoch)[position]

    def _make_epoch(self, epoch: int) -> list[np.ndarray]:
        generator = numpy_generator(self._seed, "order", epoch)
        order = generator.permutation(len(self._lengths))
        window = _WINDOW * self._batch_size
        if self._lengths.min() != self._lengths.max():
            order = np.concatenate(
                [
                    part[np.argsort(self._lengths[part], kind="stable")]
                    for part in np.split(order, range(window, len(order), window))
                ]
            )
        batches = np.array_split(order, self.batches_per_epoch)
        return [batches[i] for i in generator.permutation(len(batches))]
