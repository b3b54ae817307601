"""Files that are whole or absent: everything tinylm writes goes to a temporary name first and is then renamed."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


def cache_folder() -> Path:
    """Where derived files are kept: `TINYLM_CACHE`, else `$XDG_CACHE_HOME/tinylm`, else `~/.cache/tinylm`."""
    named = os.environ.get("TINYLM_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinylm"


def file_digest(path: Path) -> bytes:
    """Hash of what is in a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its name when the block ends well, and vanishes otherwise.

    A folder that already has the name is replaced. A process killed inside the block leaves `target` as it was; one
    killed in the instant between the two renames of a replacement leaves it under a hidden name beside it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if target.exists():
            previous = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
            target.rename(previous / target.name)
            temporary.rename(target)
            shutil.rmtree(previous)
        else:
            temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A temporary file beside `target` that takes its name when the block ends well, and vanishes otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_text_file(target: Path) -> Iterator[TextIO]:
    """As `new_file`, open for text."""
    with new_file(target) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def write_text(target: Path, text: str) -> None:
    """Write a whole text file, or leave what was there."""
    with new_text_file(target) as file:
        file.write(text)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
