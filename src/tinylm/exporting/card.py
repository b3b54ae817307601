"""The README.md of an artefact, a model card of the Hugging Face hub: what it is, how it was checked, how to use it.

The measured accuracy stands in its metadata too, as the hub reads it. Nothing here needs the network.
"""

from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.metadata import version
from string import Template
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from tinylm.exporting.provenance import without_folder
from tinylm.exporting.report import AccuracyDrop
from tinylm.runtime.artefact import ARTEFACT, GRAPH, WeightPrecision
from tinylm.runtime.loading import Checkpoint
from tinylm.tokens.windows import most_windows

CARD = "README.md"
_SHOWN = 20
"""Labels that are listed; DBPedia's 14 fit, and FewRel's 64 would push all else off the screen."""


def model_card(
    name: str,
    checkpoint: Checkpoint,
    record: Mapping[str, Any],
    precision: WeightPrecision,
    difference: float,
    drop: AccuracyDrop | None,
    measured_on: str,
) -> str:
    """The text of a model card, in Markdown with metadata in YAML above.

    Args:
        name: what the artefact is called.
        checkpoint: what was exported.
        record: of its training, `run.json`; empty where there is none.
        precision: of the weights.
        difference: largest one between a float32 probability and torch's.
        drop: of quantised weights, where it was measured.
        measured_on: where the texts of `drop` come from.
    """
    data = ModelCardData(
        library_name="tinylm",
        pipeline_tag="text-classification",
        model_name=name,
        eval_results=None if drop is None else [_result(drop, precision, measured_on)],
    )
    template = resources.files(__package__).joinpath("card.md").read_text(encoding="utf-8")
    body = Template(template).substitute(
        name=name,
        version=version("tinylm"),
        facts="\n".join(_facts(checkpoint, record, precision)),
        checks="\n".join(_checks(difference, drop, distilled="teacher" in record)),
        graph=GRAPH,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def _result(drop: AccuracyDrop, precision: WeightPrecision, measured_on: str) -> EvalResult:
    dataset = without_folder(measured_on)
    return EvalResult(
        task_type="text-classification",
        dataset_type=dataset.removeprefix("hf://"),
        dataset_name=f"{dataset}, {drop.texts} texts {drop.origin}",
        metric_type="accuracy" if drop.measure == "accuracy" else "f1",
        metric_name=None if drop.measure == "accuracy" else drop.measure,
        metric_value=drop.quantized if precision == drop.precision else drop.float32,
    )


def _facts(checkpoint: Checkpoint, record: Mapping[str, Any], precision: WeightPrecision) -> Iterator[str]:
    labels = checkpoint.labels
    shown = ", ".join(f"`{label}`" for label in labels[:_SHOWN])
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    longest = " or ".join(str(n) for n in sorted({vocabulary.positions for vocabulary in checkpoint.vocabularies}))
    averaged = "probabilities" if checkpoint.voting.vote == "probability" else "logits"
    yield f"- **Labels** ({len(labels)}): {shown}{more}."
    if checkpoint.voting.several:
        yield from _thresholds(checkpoint)
    share = checkpoint.voting.ngram_weight
    further = f", and a linear n-gram classifier has {share:.0%} of the vote" if share else ""
    yield f"- **Members**: {len(checkpoint.members)}; their {averaged} are averaged{further}."
    for index in range(len(checkpoint.members)):
        yield f"  - {_shape(checkpoint, index)}"
    if checkpoint.long != "truncate":
        most = most_windows(checkpoint.long)
        yield f"- **Reads** a text in windows of {longest} tokens, with `[CLS]` and `[SEP]`; {most} at most."
    else:
        yield f"- **Reads** the first {longest} tokens of a text, `[CLS]` and `[SEP]` included."
    if record.get("task"):
        yield f"- **Fine-tuned on** {without_folder(str(record['task']))}."
    yield f"- **Weights**: {precision}."


def _thresholds(checkpoint: Checkpoint) -> Iterator[str]:
    least = checkpoint.voting.least(len(checkpoint.labels))
    spread = f"{least[0]:.2f}" if least.min() == least.max() else f"{least.min():.2f} to {least.max():.2f}"
    yield (
        f"- **Problem type**: `{checkpoint.voting.problem_type}`; a text has every label whose probability reaches its "
        f"threshold, {spread} (`thresholds` in `{ARTEFACT}`), and may have none."
    )


def _checks(difference: float, drop: AccuracyDrop | None, *, distilled: bool) -> Iterator[str]:
    yield f"- In float32 its probabilities are within {difference:.0e} of the trained model's."
    if drop is not None:
        taught = " The committee it was distilled from may have trained on them." if distilled else ""
        yield (
            f"- On {drop.texts:,} labelled texts {drop.origin}: {drop.measure} {drop.float32:.2%} in float32 and "
            f"{drop.quantized:.2%} in {drop.precision}; "
            f"{drop.changed:,} texts get {drop.other}.{taught}"
        )


def _shape(checkpoint: Checkpoint, index: int) -> str:
    member = checkpoint.members[index]
    vocabulary, width = member.token_embeddings.shape
    heads, layers = len(member.read.value), len(member.layers) + 1
    described = member.config.front_end.describe()
    front_end = f", behind {described}" if described else ""
    return f"{layers} layer(s) of width {width} with {heads} heads{front_end}; {vocabulary:,} word pieces"
