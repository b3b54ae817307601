"""The command line: one command, one function. The only place that prints."""

import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.config import Dict
from rich.console import Console

from tinylm import __version__
from tinylm.cli.render import (
    evaluation_json,
    evaluation_lines,
    export_lines,
    prediction_json,
    prediction_line,
    rows_table,
)
from tinylm.cli.terminal import TerminalProgress
from tinylm.committee.voting import Vote
from tinylm.core.errors import InputError, InterruptedByUserError, MissingExtraError, TinyLMError
from tinylm.core.extras import EXTRAS
from tinylm.model.config import DEFAULT_PRESET
from tinylm.runtime.artefact import MAX_ACCURACY_DROP, Precision
from tinylm.serving.limits import Limits
from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings

if TYPE_CHECKING:
    from tinylm.study.report import ResultRow
    from tinylm.text.sources import TaskSource
    from tinylm.text.splits import Task

_BLOCK, _BYTES = 256, 1 << 16

_out = Console(soft_wrap=True, highlight=False, markup=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
_progress = TerminalProgress(_err)

app = App(
    name="tinylm",
    help="Pre-train tiny BERTs on your own text, fine-tune them to your labels, and let a committee of them vote.",
    help_epilogue="Start with `tinylm demo`; each command explains itself, as in `tinylm train --help`; "
    "`--config FILE.toml` gives defaults, a table for each command.",
    version=__version__,
    default_parameter=Parameter(negative=()),
    console=_out,
    error_console=_err,
    suppress_keyboard_interrupt=False,
)
app.meta.suppress_keyboard_interrupt = False


@dataclass(frozen=True, kw_only=True)
class CorpusOptions:
    """Unlabelled text and the members made of it.

    Attributes:
        corpus: unlabelled text: a .txt, .jsonl, .csv, .tsv or .parquet file (also .gz, .zst), a folder or glob of
            them, hf://org/name, wikipedia, or docs: for the documentation of the Python packages on this machine.
        corpus_column: column of its text; found by the usual names.
        documents: documents to use, drawn by seed; all by default.
        members: members of the committee.
        preset: shape of the members; several names, with commas between them, take turns.
        vocabulary: a vocabulary to use, such as bert-base-uncased, or a folder; trained on the corpus by default.
    """

    corpus: str
    corpus_column: str | None = None
    documents: int | None = None
    members: int = 2
    preset: str = DEFAULT_PRESET
    vocabulary: str | None = None

    @property
    def presets(self) -> tuple[str, ...]:
        """The names in `preset`."""
        return tuple(name.strip() for name in self.preset.split(","))


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """How labelled text is read.

    Attributes:
        test: file of the test part; by default the task's own, or a fifth of each label held out.
        text_column: column of the text; found by the usual names.
        label_column: column of the label; found by the usual names.
        train_per_label: training rows a label; all by default, the paper's number for tasks known by name.
        test_per_label: test rows a label, likewise.
    """

    test: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    train_per_label: int | None = None
    test_per_label: int | None = None

    def source(self, task: str, data_dir: Path | None = None) -> "TaskSource":
        """The task with these options."""
        from tinylm.text.sources import TaskSource

        return TaskSource(task, **asdict(self), data_dir=None if data_dir is None else str(data_dir))


_PRETRAINING, _FINETUNING, _DISTILLATION, _CORPUS, _TASK, _LIMITS = (
    Group(name, sort_key=order)
    for order, name in enumerate(
        ("Pre-training", "Fine-tuning", "Distillation", "Corpus and members", "Task", "Limits"), start=1
    )
)
_CorpusOptions = Annotated[CorpusOptions, Parameter(name="*", group=_CORPUS)]
_TaskOptions = Annotated[TaskOptions | None, Parameter(name="*", group=_TASK)]
_PretrainSettings = Annotated[PretrainSettings | None, Parameter(name="*", group=_PRETRAINING)]
_FinetuneSettings = Annotated[FinetuneSettings | None, Parameter(name="*", group=_FINETUNING)]
_DistillSettings = Annotated[DistillSettings | None, Parameter(name="*", group=_DISTILLATION)]
_Limits = Annotated[Limits | None, Parameter(name="*", group=_LIMITS)]
_Output = Annotated[Path, Parameter(name=("--output", "-o"))]
_Json = Annotated[bool, Parameter(name="--json")]


@app.command
def demo(output: _Output = Path("demo"), *, resume: bool = False) -> None:
    """Show the whole job in five minutes, offline, on the documentation of this machine's Python packages.

    Pre-trains three small members on docstrings, fine-tunes them to tell which library a text documents, lets
    them vote, and compares. Leaves a model folder and report.html.

    Args:
        output: folder to write.
        resume: go on with a demo that was interrupted.
    """
    from tinylm.study.demo import run_demo

    rows, next_steps = run_demo(output, resume=resume, progress=_progress)
    _out.print(rows_table("Which library does this text document?", rows))
    _out.print(f"\nThe report, with loss curves: {output / 'report.html'}\n\nWhat to type next:")
    for step in next_steps:
        _out.print(f"  # {step.what}", style="dim")
        _out.print(f"  {step.command}")


@app.command
def train(
    *,
    source: _CorpusOptions,
    task: str,
    output: _Output,
    task_options: _TaskOptions = None,
    data_dir: Path | None = None,
    vote: Vote = "probability",
    pretraining: _PretrainSettings = None,
    finetuning: Annotated[FinetuneSettings | None, Parameter(name="finetune", group=_FINETUNING)] = None,
    compare: bool = False,
    resume: bool = False,
    json_output: _Json = False,
) -> None:
    """Pre-train members on a corpus, fine-tune them to a task, and evaluate their vote on its test part.

    Args:
        task: labelled text: a csv, tsv, jsonl, parquet or fastText file, a folder with train and test,
            hf://org/name, or ag_news, dbpedia_14, fewrel, fewrel-marked.
        output: folder to write.
        data_dir: where data sets and vocabularies known by name are looked for; else TINYLM_DATA, else the hub.
        vote: average the members' probabilities or their logits.
        compare: also measure tf-idf with a linear SVM, and the same members from scratch.
        resume: go on with what the output folder holds; finished members are kept.
        json_output: print the results as JSON.
    """
    from tinylm.steps import pipeline

    finetuning = finetuning or FinetuneSettings()
    labelled = (task_options or TaskOptions()).source(task, data_dir).load(finetuning.seed)
    pipeline.train(
        source.corpus,
        labelled,
        output=output,
        members=source.members,
        preset=source.presets,
        vocabulary=source.vocabulary,
        documents=source.documents,
        corpus_column=source.corpus_column,
        data_dir=data_dir,
        vote=vote,
        pretraining=pretraining,
        finetuning=finetuning,
        resume=resume,
        progress=_progress,
    )
    _finish(output, labelled, finetuning, compare=compare, json_output=json_output)


@app.command
def pretrain(
    *,
    source: _CorpusOptions,
    output: _Output,
    data_dir: Path | None = None,
    settings: _PretrainSettings = None,
    resume: bool = False,
) -> None:
    """Pre-train members on unlabelled text.

    Args:
        output: folder to write.
        data_dir: where data sets and vocabularies known by name are looked for; else TINYLM_DATA, else the hub.
        resume: go on with what the output folder holds; finished members are kept, and --members may be raised.
    """
    from tinylm.steps import pipeline
    from tinylm.train.distributed import join_processes

    base = pipeline.pretrain(
        source.corpus,
        output=output,
        members=source.members,
        preset=source.presets,
        vocabulary=source.vocabulary,
        documents=source.documents,
        text_column=source.corpus_column,
        data_dir=data_dir,
        settings=settings,
        resume=resume,
        progress=_progress,
    )
    if join_processes().is_main:
        _out.print(f"{len(base.members)} pre-trained member(s) in {base.folder}; next:")
        _out.print(f"  tinylm finetune {shlex.quote(str(output))} --task labels.csv -o model")


@app.command
def finetune(
    base: Path,
    /,
    *,
    task: str,
    output: _Output,
    members: int | None = None,
    task_options: _TaskOptions = None,
    data_dir: Path | None = None,
    vote: Vote = "probability",
    settings: _FinetuneSettings = None,
    compare: bool = False,
    resume: bool = False,
    json_output: _Json = False,
) -> None:
    """Fine-tune pre-trained members to labels, and evaluate their vote on the test part.

    Args:
        base: folder that `tinylm pretrain` or `tinylm train` wrote, or any BERT in Hugging Face's layout.
        task: labelled text, as in `tinylm train`.
        output: folder to write.
        members: how many of the pre-trained members to use; all by default.
        data_dir: where data sets known by name are looked for; else TINYLM_DATA, else the hub.
        vote: average the members' probabilities or their logits.
        compare: also measure tf-idf with a linear SVM, and the same members from scratch.
        resume: go on with what the output folder holds; finished members are kept.
        json_output: print the results as JSON.
    """
    from tinylm.steps import pipeline

    settings = settings or FinetuneSettings()
    labelled = (task_options or TaskOptions()).source(task, data_dir).load(settings.seed)
    pipeline.finetune(
        base,
        labelled,
        output=output,
        members=members,
        vote=vote,
        settings=settings,
        resume=resume,
        progress=_progress,
    )
    _finish(output, labelled, settings, base=base, compare=compare, json_output=json_output)


@app.command
def distill(
    model: Path,
    /,
    *,
    corpus: str,
    output: _Output,
    members: int = 1,
    corpus_column: str | None = None,
    documents: int | None = None,
    data_dir: Path | None = None,
    settings: _DistillSettings = None,
    resume: bool = False,
) -> None:
    """Teach a committee into one member, which answers in a fraction of the time, on text without labels.

    Args:
        model: folder of a committee that `tinylm train` or `tinylm finetune` wrote.
        corpus: texts such as the model will be asked about, in any format that a corpus of `tinylm train` may have.
        output: folder to write.
        members: of the committee's members to teach, which then vote; an answer costs as many times more.
        corpus_column: column of the text; found by the usual names.
        documents: texts to use, drawn by seed; all by default.
        data_dir: where data sets known by name are looked for; else TINYLM_DATA, else the hub.
        resume: go on with what the output folder holds.
    """
    from tinylm.steps import pipeline

    pipeline.distill(
        model,
        corpus,
        output=output,
        members=members,
        documents=documents,
        text_column=corpus_column,
        data_dir=data_dir,
        settings=settings,
        resume=resume,
        progress=_progress,
    )
    _out.print(f"The model is in {output}; next:")
    _out.print(f"  tinylm evaluate {shlex.quote(str(output))} labels.csv")


@app.command
def evaluate(
    model: Path,
    task: str,
    /,
    *,
    task_options: _TaskOptions = None,
    data_dir: Path | None = None,
    json_output: _Json = False,
) -> None:
    """Measure a model on labelled text.

    The source it was trained on gives the test part of that training; another file is taken whole.

    Args:
        model: folder of a trained model.
        task: labelled text, as in `tinylm train`.
        data_dir: where data sets known by name are looked for; else TINYLM_DATA, else the hub.
        json_output: print the measures as JSON.
    """
    from tinylm.evaluation.committees import evaluate_committee
    from tinylm.evaluation.examples import examples_to_evaluate
    from tinylm.runtime.loading import load

    committee = load(model, threads=os.cpu_count() or 1)
    source = (task_options or TaskOptions()).source(task)
    examples = examples_to_evaluate(model, committee.labels, source, data_dir)
    measured = evaluate_committee(committee, examples)
    if json_output:
        _out.print_json(data=evaluation_json(measured, committee.labels))
    else:
        _out.print("\n".join(evaluation_lines(measured, committee.labels)))


@app.command
def predict(
    model: Path,
    /,
    *texts: str,
    file: Annotated[Path | None, Parameter(name=("--file", "-f"))] = None,
    text_column: str | None = None,
    json_output: _Json = False,
) -> None:
    """Label texts, in their order: arguments, a file, or standard input with one text a line.

    Prints label, probability and text with tabs between them.

    Args:
        model: folder of a trained model.
        texts: texts to label.
        file: a file of texts, in any format that a task may have.
        text_column: column of the text; found by the usual names.
        json_output: print one JSON object a text, with the probability of each label and the disagreement.
    """
    from tinylm.runtime.loading import load

    if texts and file is not None:
        raise InputError("texts are given both as arguments and in a file; give one of them")
    committee = load(model)
    for block in _blocks(texts, file, text_column):
        for text, prediction in zip(block, committee.predictions(block), strict=True):
            line = prediction_json(prediction) if json_output else prediction_line(text, prediction)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


@app.command
def export(
    model: Path,
    /,
    *,
    output: _Output,
    int8: bool = False,
    int4: bool = False,
    max_accuracy_drop: float = MAX_ACCURACY_DROP,
    task: str | None = None,
    task_options: _TaskOptions = None,
    data_dir: Path | None = None,
) -> None:
    """Write a model as one small folder that loads in a blink and answers without torch.

    The written model is checked against the trained one; where the check fails, nothing is left behind.

    Args:
        model: folder of a trained model.
        output: folder to write.
        int8: store and multiply weights in 8 bits: a quarter of the size, several times as fast.
        int4: matrices in 4 bits, embeddings in 8: faster still where many wide members vote.
        max_accuracy_drop: points of accuracy that these may cost; where they cost more, float32 is kept.
        task: labelled text to measure that cost on; by default what each member held out of its training.
        data_dir: where data sets known by name are looked for; else TINYLM_DATA, else the hub.
    """
    from tinylm.exporting.exporter import export as export_model

    if int8 and int4:
        raise InputError("--int8 and --int4 are given; give one of them")
    precision: Precision = "int8" if int8 else "int4" if int4 else "float32"
    source = None if task is None else (task_options or TaskOptions()).source(task)
    made = export_model(
        model,
        output,
        precision=precision,
        max_accuracy_drop=max_accuracy_drop,
        task=source,
        data_dir=data_dir,
        progress=_progress,
    )
    _out.print("\n".join(export_lines(made)))
    _out.print("Next:")
    _out.print(f"  tinylm predict {shlex.quote(str(output))} 'a text'")


@app.command
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
    """Answer over HTTP, with a page to try the model on at / and what programs send at /docs.

    Args:
        model: folder of a trained model.
        host: address to listen on; only this machine reaches the default.
        port: port to listen on; 0 takes a free one.
        workers: processes that answer, each with the model.
        threads: that compute in each of them.
        token_file: file of a token that clients must send; else TINYLM_TOKEN, else none is asked for.
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
        progress=_progress,
    )


def _blocks(texts: Sequence[str], file: Path | None, text_column: str | None) -> Iterator[Sequence[str]]:
    if texts:
        yield texts
    elif file is None:
        yield from _standard_input()
    else:
        from tinylm.text.labelled import read_texts

        rows = read_texts(file, text_column)
        while block := list(islice(rows, _BLOCK)):
            yield block


def _standard_input() -> Iterator[list[str]]:
    if sys.stdin.isatty():
        _err.print("type a text a line, and end with Ctrl-D", style="dim")
    rest, number = b"", 0
    # What has arrived is answered at once, so that a slow writer is not kept waiting for a full block.
    while arrived := os.read(sys.stdin.fileno(), _BYTES):
        *lines, rest = (rest + arrived).split(b"\n")
        yield from _decoded(lines, number)
        number += len(lines)
    if rest:
        yield from _decoded([rest], number)


def _decoded(lines: Sequence[bytes], number: int) -> Iterator[list[str]]:
    """Lines after line `number`; those before one that is not UTF-8 are answered before it is refused."""
    texts = []
    for line in lines:
        number += 1
        try:
            texts.append(line.decode("utf-8").rstrip("\r"))
        except UnicodeDecodeError as error:
            yield texts
            raise InputError(
                f"standard input, line {number} is not UTF-8 (byte {error.start + 1}); convert it, or remove the line"
            ) from error
    yield texts


def _finish(
    output: Path,
    task: "Task",
    settings: FinetuneSettings,
    *,
    base: Path | None = None,
    compare: bool,
    json_output: bool,
) -> None:
    from tinylm.evaluation.committees import evaluate_committee
    from tinylm.runtime.loading import load
    from tinylm.steps.pipeline import Base, open_base
    from tinylm.study.comparison import compare as compare_with_rivals

    committee = load(output, threads=os.cpu_count() or 1)
    measured = evaluate_committee(committee, task.test)
    rows: list[ResultRow] = []
    if compare:
        found = open_base(base or output)
        found = Base(found.folder, found.members[: len(committee)])
        rows = compare_with_rivals(output, found, measured, task, settings, committee.vote, _progress)
    if json_output:
        _out.print_json(data={**evaluation_json(measured, committee.labels), "rows": [asdict(row) for row in rows]})
        return
    _out.print("\n".join(evaluation_lines(measured, committee.labels)))
    if rows:
        _out.print(rows_table(task.name, rows))
    _out.print(f"The model is in {output}; next:")
    _out.print(f"  tinylm predict {shlex.quote(str(output))} {shlex.quote(task.test.texts[0][:60])}")


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[Path | None, Parameter(show=False)] = None,
) -> None:
    """Run a command, with defaults from a TOML file: a table a command, a key an option."""
    app.config = () if config is None else (Dict(_settings(config), source=str(config)),)
    try:
        app(tokens, exit_on_error=False, print_error=False)
    finally:
        app.config = ()


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"there is no file {path}; --config takes a TOML file with a table for each command")
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not TOML ({error}); mend it") from error
    for name, table in settings.items():
        if name not in _COMMANDS or not isinstance(table, dict):
            raise InputError(f"{path}: {name!r} is no table of a command; its tables are {', '.join(_COMMANDS)}")
    return settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 fine, 1 training failed, 2 wrong use or bad input, 130 interrupted."""
    sys.exit(_run(sys.argv[1:] if arguments is None else list(arguments)))


def _run(arguments: list[str]) -> int:
    try:
        try:
            app.meta(arguments, exit_on_error=False, print_error=False)
        finally:
            _progress.finish()
    except CycloptsError as error:
        # A list that is cut short ends in three dots, a sentence in one.
        said = re.sub(r"(?<!\.)\.$", "", str(error))
        return _fail(f"{said}; see {_command(arguments)} --help", InputError.exit_code)
    except (InterruptedByUserError, KeyboardInterrupt) as error:
        return _interrupted(str(error) or "interrupted", arguments)
    except TinyLMError as error:
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        return _fail(str(MissingExtraError(EXTRAS[error.name], "This command")), InputError.exit_code)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}", TinyLMError.exit_code)
    return 0


_RESUMABLE = ("demo", "train", "pretrain", "finetune", "distill")
_COMMANDS = (*_RESUMABLE, "evaluate", "predict", "export", "serve")


def _command(arguments: Sequence[str]) -> str:
    return " ".join(["tinylm", *[argument for argument in arguments if argument in _COMMANDS][:1]])


def _interrupted(message: str, arguments: Sequence[str]) -> int:
    resumable = _command(arguments).removeprefix("tinylm ") in _RESUMABLE
    _err.print(f"\n{message}{'; to go on:' if resumable else ''}")
    if resumable:
        again = ["tinylm", *arguments, *([] if "--resume" in arguments else ["--resume"])]
        _err.print(f"  {shlex.join(again)}")
    return InterruptedByUserError.exit_code


def _fail(message: str, code: int) -> int:
    _err.print(f"error: {message}", style="red")
    return code
