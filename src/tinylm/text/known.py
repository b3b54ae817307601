"""Where data sets and vocabularies known by name lie on this machine: `--data-dir`, else `TINYLM_DATA`."""

import os
from pathlib import Path

from tinylm.core.errors import InputError

VARIABLE = "TINYLM_DATA"


def local_folder(name: str, data_dir: str | Path | None) -> Path | None:
    """The folder `name` in `data_dir`, else in the folder that `TINYLM_DATA` names.

    Returns:
        The folder, or None where no `data_dir` is given and `TINYLM_DATA` is unset or lacks it.

    Raises:
        InputError: `data_dir` is given and lacks it.
    """
    if data_dir is not None:
        folder = Path(data_dir) / name
        if not folder.is_dir():
            raise InputError(f"{folder} is not there; put {name} into it, or leave --data-dir out to fetch it")
        return folder
    root = os.environ.get(VARIABLE)
    if not root:
        return None
    folder = Path(root) / name
    return folder if folder.is_dir() else None
