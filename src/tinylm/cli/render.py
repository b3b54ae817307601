"""How results are written down: lines, a table, JSON. The command line prints them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from tinylm.evaluation.committees import CommitteeEvaluation
    from tinylm.exporting.report import ExportReport
    from tinylm.runtime.predictions import Prediction
    from tinylm.study.report import ResultRow


def prediction_line(text: str, prediction: "Prediction") -> str:
    """Label, probability and text, with tabs between them."""
    return "\t".join((prediction.label, f"{prediction.probability:.3f}", " ".join(text.split())))


def prediction_json(prediction: "Prediction") -> str:
    """A prediction as one line of JSON: label, probability, probabilities, disagreement."""
    return json.dumps(asdict(prediction), ensure_ascii=False)


def export_lines(made: "ExportReport") -> list[str]:
    """What was exported, and how it compares with the trained model, for people."""
    lines = [
        f"{made.folder}: {made.precision}, {made.size / 1e6:.1f} MB",
        f"float32 is within {made.difference:.0e} of the trained model's probabilities",
    ]
    if made.drop is not None:
        drop = made.drop
        lines.append(
            f"accuracy on {drop.texts:,} texts held out of training: {drop.float32:.2%} in float32, "
            f"{drop.quantized:.2%} in {drop.precision}, "
            f"{abs(drop.points):.2f} points {'more' if drop.points < 0 else 'less'}; "
            f"{drop.changed:,} texts get another label"
        )
    return lines


def evaluation_lines(measured: "CommitteeEvaluation", labels: Sequence[str]) -> list[str]:
    """The measures of a committee for people."""
    vote = measured.committee
    low, high = vote.interval
    lines = [
        f"accuracy {vote.accuracy:.1%} (95 % interval {low:.1%} to {high:.1%}) on {vote.n:,} texts",
        f"macro F1 {vote.macro_f1:.3f}, expected calibration error {vote.expected_calibration_error:.3f}",
    ]
    if len(measured.members) > 1:
        sizes = ", ".join(f"{size.size}: {size.mean:.1%}" for size in measured.sizes)
        lines.append(f"accuracy by number of members {sizes}; mean disagreement {measured.disagreement:.3f} nats")
    if vote.worst_pairs:
        lines.append("most often confused:")
        lines += [f"  {labels[p.true]} taken for {labels[p.predicted]}: {p.count}" for p in vote.worst_pairs]
    return lines


def evaluation_json(measured: "CommitteeEvaluation", labels: Sequence[str]) -> dict[str, Any]:
    """The measures of a committee for programs; the keys stay."""
    vote = measured.committee
    return {
        "accuracy": vote.accuracy,
        "accuracy_interval": vote.interval,
        "macro_f1": vote.macro_f1,
        "expected_calibration_error": vote.expected_calibration_error,
        "n": vote.n,
        "members": measured.members,
        "accuracy_by_size": [asdict(size) for size in measured.sizes],
        "disagreement": measured.disagreement,
        "worst_pairs": [
            {"true": labels[p.true], "predicted": labels[p.predicted], "count": p.count} for p in vote.worst_pairs
        ],
    }


def rows_table(title: str, rows: "Sequence[ResultRow]") -> Table:
    """A comparison, its best row in bold."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column("accuracy", justify="right")
    table.add_column("95 % interval", justify="right")
    best = max(row.accuracy for row in rows)
    for row in rows:
        style = "bold" if row.accuracy == best else None
        table.add_row(row.name, f"{row.accuracy:.1%}", f"{row.low:.1%} to {row.high:.1%}", style=style)
    return table
