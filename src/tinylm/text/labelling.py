"""Texts to label, in blocks: arguments, or standard input as it arrives."""

import os
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console

from tinylm.core.errors import InputError

_BYTES = 1 << 16


def blocks(texts: Sequence[str], err: Console) -> Iterator[Sequence[str]]:
    """Arguments where there are some, else the lines of standard input.

    Raises:
        InputError: a line cannot be read.
    """
    if texts:
        yield texts
    else:
        yield from _standard_input(err)


def _standard_input(err: Console) -> Iterator[list[str]]:
    if sys.stdin.isatty():
        err.print("type a text a line, and end with Ctrl-D", style="dim")
    rest, number = b"", 0
    # What has arrived is classified at once, so that a slow writer is not kept waiting for a full block.
    while arrived := os.read(sys.stdin.fileno(), _BYTES):
        *lines, rest = (rest + arrived).split(b"\n")
        yield from _decoded(lines, number)
        number += len(lines)
    if rest:
        yield from _decoded([rest], number)


def _decoded(lines: Sequence[bytes], number: int) -> Iterator[list[str]]:
    """Lines after line `number`; those before one that is not UTF-8 are classified before it is refused."""
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
