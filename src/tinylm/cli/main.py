"""`tinylm` as a program: defaults from a TOML file, errors as sentences, exit codes."""

import inspect
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter
from cyclopts.config import Dict

from tinylm.cli.commands import COMMANDS, err, out, progress
from tinylm.cli.overlap import overlap, select
from tinylm.cli.questions import report, studies
from tinylm.core.errors import InputError, InterruptedByUserError, MissingExtraError, TinyLMError
from tinylm.core.extras import EXTRAS
from tinylm.core.renamed import refuse_old_names

app = App(
    name="tinylm",
    help="Pre-train tiny BERTs on your own text, fine-tune them to your labels, and let a committee of them vote.",
    help_epilogue="Start with `tinylm demo`; each command explains itself, as in `tinylm train --help`; "
    "`--config FILE.toml` gives defaults, a table for each command.",
    version=version("tinylm"),
    default_parameter=Parameter(negative=()),
    console=out,
    error_console=err,
    suppress_keyboard_interrupt=False,
)
app.meta.suppress_keyboard_interrupt = False
_COMMANDS = (*COMMANDS, overlap, select, report)
for command in _COMMANDS:
    app.command(command)
app.command(studies)

_NAMES = (*(command.__name__ for command in _COMMANDS), *studies.name)
_RESUMABLE = tuple(command.__name__ for command in COMMANDS if "resume" in inspect.signature(command).parameters)


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[Path | None, Parameter(show=False)] = None,
) -> None:
    """Run a command, with defaults from a TOML file: a table a command, a key an option."""
    if tokens and tokens[0] != "predict":
        refuse_old_names(token.partition("=")[0] for token in tokens if token.startswith("--"))
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
        if name not in _NAMES or not isinstance(table, dict):
            raise InputError(f"{path}: {name!r} is no table of a command; its tables are {', '.join(_NAMES)}")
        refuse_old_names(_keys(table), f"{path}, [{name}]: ")
    return settings


def _keys(table: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """The keys of a table and of the tables in it: `steps`, `finetune.steps`."""
    for key, value in table.items():
        yield before + key
        if isinstance(value, dict):
            yield from _keys(value, f"{before}{key}.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 fine, 1 training failed, 2 wrong use or bad input, 130 interrupted."""
    sys.exit(_run(sys.argv[1:] if arguments is None else list(arguments)))


def _run(arguments: list[str]) -> int:
    try:
        try:
            app.meta(arguments, exit_on_error=False, print_error=False)
        finally:
            progress.finish()
    except CycloptsError as error:
        return _fail(f"{_sentence(error)}; see {_command(arguments)} --help", InputError.exit_code)
    except (InterruptedByUserError, KeyboardInterrupt) as error:
        return _interrupted(str(error) or "interrupted", arguments)
    except TinyLMError as error:
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ImportError as error:
        # cyclopts wraps what the import of a command raised.
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        extra = EXTRAS.get(getattr(missing, "name", None) or "")
        if extra is None:
            raise
        return _fail(str(MissingExtraError(extra, "This command")), InputError.exit_code)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}", TinyLMError.exit_code)
    return 0


def _sentence(error: CycloptsError) -> str:
    """The message without its full stop, and with the flag that is missing of a group of flags."""
    # A list that is cut short ends in three dots, a sentence in one.
    message = re.sub(r"(?<!\.)\.$", "", str(error))
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        missing = next((child.name for child in error.argument.children if child.required), "")
        message = message.replace("parameter * ", f"parameter {missing} ")
    return message


def _command(arguments: Sequence[str]) -> str:
    return " ".join(["tinylm", *[argument for argument in arguments if argument in _NAMES][:1]])


def _interrupted(message: str, arguments: Sequence[str]) -> int:
    resumable = _command(arguments).removeprefix("tinylm ") in _RESUMABLE
    err.print(f"\n{message}{'; to go on:' if resumable else ''}")
    if resumable:
        again = ["tinylm", *arguments, *([] if "--resume" in arguments else ["--resume"])]
        err.print(f"  {shlex.join(again)}")
    return InterruptedByUserError.exit_code


def _fail(message: str, code: int) -> int:
    err.print(f"error: {message}", style="red")
    return code
