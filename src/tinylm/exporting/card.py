"""The README.md of an artefact, as the Hugging Face hub lays it out: what it is, how it was checked, how to use it."""

from pathlib import Path
from typing import TYPE_CHECKING

from tinylm import __version__
from tinylm.core.runs import read_record
from tinylm.runtime.artefact import GRAPH, Precision
from tinylm.runtime.loading import Checkpoint

if TYPE_CHECKING:
    from tinylm.exporting.exporter import Loss

CARD = "README.md"
_SHOWN = 20


def model_card(
    model: Path,
    checkpoint: Checkpoint,
    name: str,
    precision: Precision,
    difference: float,
    loss: "Loss | None",
) -> str:
    """The text of a model card, in Markdown.

    Args:
        model: folder of the committee.
        checkpoint: the same, opened.
        name: what the artefact is called.
        precision: of its weights.
        difference: largest one between its float32 probabilities and torch's.
        loss: of rounded weights, where it was measured.
    """
    labels, record = checkpoint.labels, read_record(model)
    shown = ", ".join(f"`{label}`" for label in labels[:_SHOWN])
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    longest = " or ".join(str(n) for n in sorted({vocabulary.positions for vocabulary in checkpoint.vocabularies}))
    votes = "their probabilities are averaged" if checkpoint.vote == "probability" else "their logits are averaged"
    facts = [
        f"- **Labels** ({len(labels)}): {shown}{more}.",
        f"- **Members**: {len(checkpoint.members)}; {votes}.",
        *[f"  - {_shape(checkpoint, index)}" for index in range(len(checkpoint.members))],
        f"- **Reads** the first {longest} tokens of a text, `[CLS]` and `[SEP]` included.",
        *([f"- **Fine-tuned on** {record['task']}."] if record.get("task") else []),
        f"- **Weights**: {precision}.",
    ]
    checks = [f"- In float32 its probabilities are within {difference:.0e} of the trained model's."]
    if loss is not None:
        checks.append(
            f"- On {loss.texts:,} labelled texts, each judged by the members that have not learnt its label: accuracy "
            f"{loss.exact:.2%} in float32 and {loss.rounded:.2%} in {loss.precision}; {loss.changed:,} texts get "
            f"another label.{' Its teachers may have learnt those labels.' if record.get('teacher') else ''}"
        )
    return f"""---
library_name: tinylm
pipeline_tag: text-classification
---

# {name}

A committee of tiny language models that classifies text, written by tinylm {__version__}.

{chr(10).join(facts)}

## Checked when it was written

{chr(10).join(checks)}

## Use

```python
import tinylm

committee = tinylm.load("{name}")
committee.predict("a text")
```

```console
tinylm predict {name} "a text"
tinylm serve {name}
```

Or with ONNX Runtime alone: `{GRAPH}` takes `input_ids` and `attention_mask`, int64 of shape (batch, tokens), made with
`tokenizer.json`, and gives `probabilities` (batch, labels), `votes` (batch, members, labels) and `attention`. Where
members have different vocabularies, each vocabulary has a folder, and inputs with its number after their names.

## Limits

It knows the labels above and no others: a text that belongs to none of them gets one all the same, often with a lower
probability or a higher disagreement between the members. How good it is on other text than it was trained on is not
known until it is measured: `tinylm evaluate {name} labelled.csv`.
"""


def _shape(checkpoint: Checkpoint, index: int) -> str:
    member = checkpoint.members[index]
    vocabulary, width = member.words.shape
    heads, layers = len(member.read.value), len(member.layers) + 1
    front_end = "" if member.front_end is None else ", behind a convolution"
    return f"{layers} layer(s) of width {width} with {heads} heads{front_end}; {vocabulary:,} word pieces"
