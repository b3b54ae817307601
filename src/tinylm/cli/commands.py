"""The commands, one function each: flags to a step, the step's result to the screen.

What needs torch or a server is imported when its command runs, so that `tinylm predict` starts at once.
"""

import json
import os
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter
from rich.console import Console

from tinylm.cli.labelled_file import label_file, label_texts, say_not_read
from tinylm.core.cores import usable_cores
from tinylm.core.errors import InputError
from tinylm.core.runs import read_record
from tinylm.core.terminal import TerminalProgress
from tinylm.runtime.predictions import LabelsPrediction, Prediction
from tinylm.serving.limits import Limits
from tinylm.steps.distill import Distill
from tinylm.steps.export import Export
from tinylm.steps.finetune import Finetune
from tinylm.steps.flags import FLAT, TASK
from tinylm.steps.pretrain import Pretrain
from tinylm.steps.train import Train
from tinylm.text.labelling import blocks
from tinylm.text.lines import UTF_8
from tinylm.text.sources import TaskSource

if TYPE_CHECKING:
    from tinylm.runtime.classifier import Classifier
    from tinylm.text.splits import Task

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
progress = TerminalProgress(err)

_Output = Annotated[Path, Parameter(name=("--output", "-o"))]
_Json = Annotated[bool, Parameter(name="--json")]
_Limits = Annotated[Limits | None, Parameter(name="*", group=Group("Limits", sort_key=6))]


def demo(output: _Output = Path("demo"), *, resume: bool = False) -> None:
    """Show the whole job in minutes, offline, on the documentation of this machine's Python packages.

    Pre-trains two small members on docstrings, fine-tunes them to tell which library a text documents, lets
    them vote, and compares. Leaves a model folder and report.html.

    Args:
        output: folder to write.
        resume: go on with a demo that was interrupted.
    """
    from tinylm.study.comparison import rows_table
    from tinylm.study.demo import run_demo

    rows, next_steps = run_demo(output, resume=resume, progress=progress)
    out.print(rows_table("Which library does this text document?", rows))
    out.print(f"\nThe report, with loss curves: {output / 'report.html'}\n\nWhat to type next:")
    for step in next_steps:
        out.print(f"  # {step.what}", style="dim")
        out.print(f"  {step.command}")


def train(
    *,
    step: Annotated[Train, FLAT],
    output: _Output,
    compare: bool = False,
    resume: bool = False,
    json_output: _Json = False,
) -> None:
    """Pre-train members on a corpus, fine-tune them to a task, and evaluate their vote on its test part.

    Args:
        output: folder to write.
        compare: also measure tf-idf with a linear SVM, and the same members from scratch.
        resume: go on with what the output folder holds; finished members are kept.
        json_output: print the results as JSON.
    """
    task = step.task.load(step.finetune.seed)
    committee = step.run(output, task=task, resume=resume, progress=progress)
    finetuning = Finetune(output, task=step.task, members=len(committee), vote=step.vote, settings=step.finetune)
    _evaluate_and_compare(output, finetuning, committee, task, compare=compare, json_output=json_output)


def pretrain(*, step: Annotated[Pretrain, FLAT], output: _Output, resume: bool = False) -> None:
    """Pre-train members on unlabelled text.

    Args:
        output: folder to write.
        resume: go on with what the output folder holds; finished members are kept, and --members may be raised.
    """
    base = step.run(output, resume=resume, progress=progress)
    if int(os.environ.get("RANK", "0")) == 0:
        out.print(f"{len(base.members)} pre-trained member(s) in {base.folder}; next:")
        out.print(f"  tinylm finetune {shlex.quote(str(output))} --task labels.csv -o model")


def finetune(
    step: Annotated[Finetune, FLAT],
    *,
    output: _Output,
    compare: bool = False,
    resume: bool = False,
    json_output: _Json = False,
) -> None:
    """Fine-tune pre-trained members to labels, and evaluate their vote on the test part.

    Args:
        output: folder to write.
        compare: also measure tf-idf with a linear SVM, and the same members from scratch.
        resume: go on with what the output folder holds; finished members are kept.
        json_output: print the results as JSON.
    """
    if compare and step.base is None:
        raise InputError("--compare trains the members of a base from scratch, and --start-from has none; leave it out")
    task = step.task.load(step.settings.seed)
    committee = step.run(output, task=task, resume=resume, progress=progress)
    _evaluate_and_compare(output, step, committee, task, compare=compare, json_output=json_output)


def distill(step: Annotated[Distill, FLAT], *, output: _Output, resume: bool = False) -> None:
    """Distil a committee into one member, which predicts in a fraction of the time, on text without labels.

    Args:
        output: folder to write.
        resume: go on with what the output folder holds.
    """
    step.run(output, resume=resume, progress=progress)
    out.print(f"The model is in {output}; next:")
    out.print(f"  tinylm evaluate {shlex.quote(str(output))} labels.csv")


def evaluate(
    model: Path, task: Annotated[TaskSource | None, TASK] = None, *, by_label: bool = False, json_output: _Json = False
) -> None:
    """Measure a model on labelled text.

    The source it was trained on, which is the default, gives the test part of that training; another file is taken
    whole.

    Args:
        model: folder of a trained model.
        by_label: also print precision, recall and F1 of each label.
        json_output: print the measures as JSON, those of each label among them.
    """
    from tinylm.runtime.loading import load
    from tinylm.steps.evaluate import evaluate

    committee = load(model, threads=usable_cores())
    measured = evaluate(committee, task)
    if task is None:
        err.print(f"measured on the test part of {read_record(model)['task']}")
    say_not_read(committee, measured.truncated, measured.committee.n, err)
    if json_output:
        out.print_json(data=measured.as_json())
    else:
        of_labels = measured.lines_by_label() if by_label else []
        out.print("\n".join([*measured.lines(), *of_labels]))


def predict(
    model: Path,
    /,
    *texts: str,
    file: Annotated[Path | None, Parameter(name=("--file", "-f"))] = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    text_column: str | None = None,
    entities: str | None = None,
    encoding: str = UTF_8,
    json_output: _Json = False,
) -> None:
    """Label texts, in their order: arguments, a file, or standard input with one text a line.

    Prints label, probability and text with tabs between them; where a text may have several labels, those that it
    has and the probability of each, with | between them. A file is labelled on all cores.

    Args:
        model: folder of a trained model.
        texts: texts to label.
        file: a file of texts, in any format that a task may have.
        output: write the rows of the file, with label, probability and disagreement after their own columns, as .csv,
            .tsv, .jsonl, .parquet or .xlsx, instead of printing.
        text_column: column of the text; found by the usual names.
        entities: column of the entities of a text, [[start, end], ...] in characters from 0, which are marked in it.
        encoding: of a file that is text, such as cp1252 or utf-16.
        json_output: print one JSON object a text, with its row, the probability of each label and the disagreement.
    """
    if texts and file is not None:
        raise InputError("texts are given both as arguments and in a file; give one of them")
    if output is not None and (file is None or json_output):
        missing = "no --file, whose rows it would hold; name one" if file is None else "--json; give one of them"
        raise InputError(f"--output is given with {missing}")
    if entities is not None and file is None:
        raise InputError("--entities names a column, and there is no --file that has one; name one")
    if file is not None:
        predicted = label_file(
            model, file, output, text_column=text_column, entities=entities, encoding=encoding, err=err
        )
    else:
        predicted = label_texts(model, blocks(texts, err), err)
    for row, (text, prediction) in enumerate(predicted, start=1):
        sys.stdout.write((_json(row, text, prediction) if json_output else _line(text, prediction)) + "\n")
        sys.stdout.flush()


def embed(
    model: Path,
    /,
    *,
    file: Annotated[Path, Parameter(name=("--file", "-f"))],
    output: _Output,
    text_column: str | None = None,
    encoding: str = UTF_8,
    normalise: bool = False,
) -> None:
    """Write the vector of each text of a file, in their order: what the encoders give at [CLS], in float32.

    Args:
        model: folder of pre-trained members, or of a trained or exported model; vectors of members stand side by side.
        file: a file of texts, in any format that a task may have.
        output: file to write: .npy (texts, features), or .parquet with the columns text and vector.
        text_column: column of the text; found by the usual names.
        encoding: of a file that is text, such as cp1252 or utf-16.
        normalise: divide each vector by its length, so that products of vectors are cosines.
    """
    from tinylm.runtime.embedding import write_vectors
    from tinylm.runtime.loading import load_encoder

    encoder = load_encoder(model, threads=usable_cores())
    texts = write_vectors(
        encoder,
        file,
        output,
        text_column=text_column,
        encoding=encoding,
        normalise=normalise,
        progress=progress,
    )
    out.print(f"{texts:,} vectors of {encoder.width} features in {output}")


def export(
    step: Annotated[Export, FLAT],
    *,
    output: _Output,
    int8: bool = False,
    int4: bool = False,
    task: Annotated[TaskSource | None, TASK] = None,
) -> None:
    """Write a model as one small folder that loads in a blink and predicts without torch.

    The written model is checked against the trained one; where the check fails, nothing is left behind.

    Args:
        output: folder to write.
        int8: store and multiply weights in 8 bits: a quarter of the size, several times as fast.
        int4: matrices in 4 bits, embeddings in 8: faster still where many wide members vote.
    """
    if int8 and int4:
        raise InputError("--int8 and --int4 are given; give one of them")
    precision = "int8" if int8 else "int4" if int4 else step.precision
    report = replace(step, precision=precision, task=task).run(output, progress=progress)
    out.print("\n".join(report.lines()))
    out.print("Next:")
    out.print(f"  tinylm predict {shlex.quote(str(output))} 'a text'")


def serve(
    model: Path,
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    threads: int = 1,
    token_file: Path | None = None,
    limits: _Limits = None,
) -> None:
    """Predict over HTTP, with a page to try the model on at / and a reference of requests and responses at /docs.

    Args:
        model: folder of a trained model.
        host: address to listen on; only this machine reaches the default.
        port: port to listen on; 0 takes a free one.
        workers: processes that predict, each with the model.
        threads: that compute in each of them.
        token_file: file of a token that clients must send; else TINYLM_TOKEN, else none is required.
    """
    from tinylm.serving.server import serve as serve_model

    serve_model(
        model,
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        limits=limits,
        token_file=token_file,
        progress=progress,
    )


def _line(text: str, prediction: "Prediction | LabelsPrediction") -> str:
    labels = [prediction.label] if isinstance(prediction, Prediction) else prediction.labels
    probabilities = [f"{prediction.probabilities[label]:.3f}" for label in labels]
    return "\t".join(("|".join(labels), "|".join(probabilities), " ".join(text.split())))


def _json(row: int, text: str, prediction: "Prediction | LabelsPrediction") -> str:
    return json.dumps({"row": row, "text": text, **asdict(prediction)}, ensure_ascii=False)


def _evaluate_and_compare(
    output: Path, step: Finetune, committee: "Classifier", task: "Task", *, compare: bool, json_output: bool
) -> None:
    from tinylm.evaluation.committees import CommitteeEvaluation, measure_committee
    from tinylm.steps.base import open_base
    from tinylm.study.comparison import compare as compare_with_baselines
    from tinylm.study.comparison import rows_table
    from tinylm.study.comparison_several import compare_several, several_table
    from tinylm.text.splits import with_several_labels

    if committee.voting.several:
        task = with_several_labels(task)
    measured = measure_committee(committee, task.test)
    say_not_read(committee, measured.truncated, len(task.test), err)
    rows: list[Any] = []
    table: Any = None
    if compare and step.base is not None:
        base = open_base(step.base).first(len(committee))
        how = step.settings, committee.voting.vote, progress
        if isinstance(measured, CommitteeEvaluation):
            rows = compare_with_baselines(output, base, measured, task, *how)
            table = rows_table(task.name, rows)
        else:
            rows = compare_several(output, base, measured, task, *how)
            table = several_table(task.name, rows)
    if json_output:
        out.print_json(data={**measured.as_json(), "rows": [asdict(row) for row in rows]})
        return
    out.print(str(measured))
    if table is not None:
        out.print(table)
    out.print(f"The model is in {output}; next:")
    out.print(f"  tinylm predict {shlex.quote(str(output))} {shlex.quote(task.test.texts[0][:60])}")


COMMANDS = (demo, train, pretrain, finetune, distill, evaluate, predict, embed, export, serve)
"""In the order of `tinylm --help`."""
