"""Parting texts that have several labels each, so that every label is on both sides where it can be.

Iterative stratification (Sechidis et al., 2011): the rarest label that is left is dealt out first, each text to the
side that still wants most of that label; so the rare ones are parted while there is a choice.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from tinylm.core.seeds import numpy_generator


def held_out_of_several(
    labels: npt.NDArray[np.integer], groups: Sequence[Hashable], fraction: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Choose texts so that each label has its share, and no group is parted.

    A label of one text is not held out. Texts without a label are dealt out as if that were a label.

    Args:
        labels: (n, labels) 0 or 1.
        groups: n keys; texts with equal keys stay together.
        fraction: of the texts of each label, at least one.
        seed: of the order in which texts are dealt out.

    Returns:
        Shape (n,), True where a text is chosen.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    group_of = np.array([numbers[group] for group in groups])
    with_none = np.column_stack([labels, ~labels.any(axis=1)]).astype(np.int64)
    counts = np.zeros((len(numbers), with_none.shape[1]), np.int64)
    np.add.at(counts, group_of, with_none)
    total = counts.sum(axis=0)
    wanted = np.minimum(np.maximum(1, np.rint(fraction * total)), np.maximum(total - 1, 0))
    # What each side still wants: of each label, and of all texts.
    want = np.stack([total - wanted, wanted])
    sizes = np.bincount(group_of)
    held_size = min(max(1, round(fraction * len(labels))), len(labels) - 1)
    room = np.array([len(labels) - held_size, held_size])
    side = np.full(len(numbers), -1)
    order = numpy_generator(seed, "hold-out of several labels").permutation(len(numbers))
    left = total.copy()
    while left.any():
        label = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        for group in order[(counts[order, label] > 0) & (side[order] < 0)]:
            ranked = want[:, label]
            chosen = int(np.argmax(ranked)) if ranked[0] != ranked[1] else int(np.argmax(room))
            side[group] = chosen
            want[chosen] -= counts[group]
            room[chosen] -= sizes[group]
            left -= counts[group]
    return np.asarray(side[group_of] == 1)
