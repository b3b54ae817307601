"""tinylm: pre-train tiny BERTs on your own text, fine-tune them to your labels, let a committee of them vote.

    base = tinylm.pretrain("notes.txt", members=4, budget="20m")
    committee = tinylm.finetune(base, "labels.csv")
    committee.predict(["a text"])

The names are imported when they are first used, so that `import tinylm` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinylm.errors import EXTRAS, MissingExtraError

if TYPE_CHECKING:
    from tinylm.committee import Committee, Prediction, load
    from tinylm.errors import TinyLMError
    from tinylm.pipeline import Base, TaskSource, finetune, pretrain
    from tinylm.train.settings import FinetuneSettings, PretrainSettings

__version__ = "0.1.0"

_HOMES = {
    "Base": "tinylm.pipeline",
    "Committee": "tinylm.committee",
    "FinetuneSettings": "tinylm.train.settings",
    "Prediction": "tinylm.committee",
    "PretrainSettings": "tinylm.train.settings",
    "TaskSource": "tinylm.pipeline",
    "TinyLMError": "tinylm.errors",
    "finetune": "tinylm.pipeline",
    "load": "tinylm.committee",
    "pretrain": "tinylm.pipeline",
}

__all__ = [
    "Base",
    "Committee",
    "FinetuneSettings",
    "Prediction",
    "PretrainSettings",
    "TaskSource",
    "TinyLMError",
    "finetune",
    "load",
    "pretrain",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tinylm' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        raise MissingExtraError(EXTRAS[error.name], f"tinylm.{name}") from error


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
