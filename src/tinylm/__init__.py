"""tinylm: pre-train tiny BERTs on your own text, fine-tune them to your labels, let a committee of them vote.

    base = tinylm.pretrain("notes.txt", members=4, budget="20m")
    committee = tinylm.finetune(base, "labels.csv")
    committee.predict(["a text"])

The names are imported when they are first used, so that `import tinylm` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinylm.core.errors import MissingExtraError
from tinylm.core.extras import EXTRAS

if TYPE_CHECKING:
    from tinylm.core.errors import TinyLMError
    from tinylm.exporting.exporter import export
    from tinylm.runtime.classifier import Classifier
    from tinylm.runtime.loading import load
    from tinylm.runtime.predictions import Answers, Explanation, Prediction
    from tinylm.steps.pipeline import Base, distill, finetune, pretrain
    from tinylm.text.sources import TaskSource
    from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings

__version__ = "0.1.0"

_HOMES = {
    "Answers": "tinylm.runtime.predictions",
    "Base": "tinylm.steps.pipeline",
    "Classifier": "tinylm.runtime.classifier",
    "DistillSettings": "tinylm.train.settings",
    "Explanation": "tinylm.runtime.predictions",
    "FinetuneSettings": "tinylm.train.settings",
    "Prediction": "tinylm.runtime.predictions",
    "PretrainSettings": "tinylm.train.settings",
    "TaskSource": "tinylm.text.sources",
    "TinyLMError": "tinylm.core.errors",
    "distill": "tinylm.steps.pipeline",
    "export": "tinylm.exporting.exporter",
    "finetune": "tinylm.steps.pipeline",
    "load": "tinylm.runtime.loading",
    "pretrain": "tinylm.steps.pipeline",
}

__all__ = [
    "Answers",
    "Base",
    "Classifier",
    "DistillSettings",
    "Explanation",
    "FinetuneSettings",
    "Prediction",
    "PretrainSettings",
    "TaskSource",
    "TinyLMError",
    "distill",
    "export",
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
