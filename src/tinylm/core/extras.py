"""Heavy libraries, imported when they are needed, so that reading a vocabulary needs none of them."""

import importlib
from typing import Any

from tinylm.core.errors import MissingExtraError


def needed(module: str, what: str) -> Any:
    """Import `module` of the `train` extra.

    Args:
        module: its dotted name.
        what: what needs it, as the beginning of a sentence: `"reading notes.parquet"`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError("train", what) from error
