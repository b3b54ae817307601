"""Export: a trained committee to one folder that predicts without torch."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tinylm.core.progress import Progress, Reporting
from tinylm.core.terminal import listener
from tinylm.runtime.artefact import MAX_ACCURACY_DROP, WeightPrecision
from tinylm.steps.base import require_training
from tinylm.steps.finetune import task_source
from tinylm.steps.flags import NO_FLAG
from tinylm.text.sources import TaskSource

if TYPE_CHECKING:
    from tinylm.exporting.report import ExportReport


@dataclass(frozen=True)
class Export:
    """Write a committee as one graph with its vocabulary, labels and a model card; nothing where a check fails."""

    model: Path
    """Folder of a committee, or of a classifier in Hugging Face's layout."""
    _: KW_ONLY
    precision: Annotated[WeightPrecision, NO_FLAG] = "float32"
    """Of the weights; `int8` and `int4` are kept if they cost little accuracy."""
    max_accuracy_drop: float = MAX_ACCURACY_DROP
    """Points of accuracy that 8 or 4 bits may cost; where they cost more, float32 is kept."""
    task: Annotated[TaskSource | None, NO_FLAG] = None
    """Labelled text to measure that cost on; by default what each member held out of its training."""

    def run(self, output: str | Path, *, progress: Progress | None = None) -> "ExportReport":
        """Write the artefact.

        Args:
            output: folder to write; an artefact that is there is replaced.
            progress: receives stages and messages.

        Raises:
            InputError: no such model, the output folder is taken, or there is no labelled text to measure on.
            TinyLMError: the graph does not compute what the model computes.
        """
        require_training("tinylm.export")
        from tinylm.exporting.exporter import export_committee

        return export_committee(
            self.model,
            Path(output),
            precision=self.precision,
            max_accuracy_drop=self.max_accuracy_drop,
            task=self.task,
            progress=progress,
        )


def export(
    model: str | Path,
    output: str | Path,
    *,
    precision: WeightPrecision = "float32",
    max_accuracy_drop: float = MAX_ACCURACY_DROP,
    task: TaskSource | str | Path | None = None,
    data_dir: str | Path | None = None,
    progress: Reporting = "auto",
) -> "ExportReport":
    """Write a committee as one small folder that predicts without torch; see `Export`, whose fields the arguments are.

    Args:
        model: folder of a committee, or of a classifier in Hugging Face's layout.
        output: folder to write; an artefact that is there is replaced.
        precision: of the weights: `float32`, `int8`, `int4`.
        max_accuracy_drop: points of accuracy that 8 or 4 bits may cost.
        task: labelled text to measure that cost on; when None, what each member held out of its training.
        data_dir: where data sets known by name are looked for.
        progress: receives stages and messages; by default a bar in a terminal or notebook, None for silence.

    Raises:
        InputError: no such model, the output folder is taken, or there is no labelled text to measure on.
        TinyLMError: the graph does not compute what the model computes.
    """
    source = None if task is None else task_source(task, data_dir)
    step = Export(Path(model), precision=precision, max_accuracy_drop=max_accuracy_drop, task=source)
    return step.run(output, progress=listener(progress))
