"""tinylm: pre-train tiny BERTs on your own text, fine-tune them to your labels, let a committee of them vote.

    base = tinylm.pretrain("notes.txt", members=4, budget="20m")
    committee = tinylm.finetune(base, "labels.csv")
    committee.predict(["a text"])

The names are imported when they are first used, so that `import tinylm` is quick.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from tinylm.core.errors import MissingExtraError
from tinylm.core.extras import EXTRAS

if TYPE_CHECKING:
    from tinylm.core.errors import TinyLMError
    from tinylm.runtime.classifier import Classifier
    from tinylm.runtime.encoder import Encoder
    from tinylm.runtime.loading import load, load_encoder
    from tinylm.runtime.predictions import Explanation, Prediction, Predictions
    from tinylm.steps.base import Base
    from tinylm.steps.distill import Distill, distill
    from tinylm.steps.evaluate import evaluate
    from tinylm.steps.export import Export, export
    from tinylm.steps.finetune import Finetune, finetune
    from tinylm.steps.pretrain import Pretrain, pretrain
    from tinylm.steps.train import Train
    from tinylm.text.corpus import CorpusSource
    from tinylm.text.entities import mark_entities
    from tinylm.text.sources import TaskSource
    from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings

__version__ = version("tinylm")

_HOMES = {
    "Train": "tinylm.steps.train",
    "Pretrain": "tinylm.steps.pretrain",
    "Finetune": "tinylm.steps.finetune",
    "Export": "tinylm.steps.export",
    "Distill": "tinylm.steps.distill",
    "Encoder": "tinylm.runtime.encoder",
    "CorpusSource": "tinylm.text.corpus",
    "Predictions": "tinylm.runtime.predictions",
    "Base": "tinylm.steps.base",
    "Classifier": "tinylm.runtime.classifier",
    "DistillSettings": "tinylm.train.settings",
    "Explanation": "tinylm.runtime.predictions",
    "FinetuneSettings": "tinylm.train.settings",
    "Prediction": "tinylm.runtime.predictions",
    "PretrainSettings": "tinylm.train.settings",
    "TaskSource": "tinylm.text.sources",
    "TinyLMError": "tinylm.core.errors",
    "distill": "tinylm.steps.distill",
    "evaluate": "tinylm.steps.evaluate",
    "export": "tinylm.steps.export",
    "finetune": "tinylm.steps.finetune",
    "load": "tinylm.runtime.loading",
    "load_encoder": "tinylm.runtime.loading",
    "mark_entities": "tinylm.text.entities",
    "pretrain": "tinylm.steps.pretrain",
}

__all__ = [
    "Base",
    "Classifier",
    "CorpusSource",
    "Distill",
    "DistillSettings",
    "Encoder",
    "Explanation",
    "Export",
    "Finetune",
    "FinetuneSettings",
    "Prediction",
    "Predictions",
    "Pretrain",
    "PretrainSettings",
    "TaskSource",
    "TinyLMError",
    "Train",
    "distill",
    "evaluate",
    "export",
    "finetune",
    "load",
    "load_encoder",
    "mark_entities",
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
