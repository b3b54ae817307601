"""Which extra installs which library, and libraries imported when they are needed."""

import importlib
from typing import Any

from tinylm.core.errors import MissingExtraError

EXTRAS = {
    **dict.fromkeys(("torch", "onnx", "datasets", "pyarrow", "sklearn", "scipy"), "train"),
    **dict.fromkeys(("altair", "vl_convert", "optuna"), "study"),
    "ray": "ray",
    "openpyxl": "tables",
    **dict.fromkeys(("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "prometheus_client"), "serve"),
}
"""The extra that installs each module which the base installation lacks."""


def needed(module: str, what: str) -> Any:
    """Import `module`, a part of an extra.

    Args:
        module: its dotted name; its package is one of `EXTRAS`.
        what: what needs it, as the beginning of a sentence: `"reading notes.parquet"`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(EXTRAS[module.partition(".")[0]], what) from error
