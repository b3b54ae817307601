"""The vectors of a file of texts, written as they are made: a NumPy array, or a table of texts and vectors."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.core.extras import needed
from tinylm.core.files import new_file
from tinylm.core.progress import Progress
from tinylm.runtime.encoder import Encoder
from tinylm.text.labelled import read_texts
from tinylm.text.lines import require_encoding

Blocks = Iterator[tuple[Sequence[str], npt.NDArray[np.float32]]]
"""Some texts at a time, and their vectors (texts, width)."""

_BLOCK = 4096


def write_vectors(
    encoder: Encoder,
    file: Path,
    output: Path,
    *,
    text_column: str | None,
    encoding: str,
    normalise: bool,
    progress: Progress,
) -> int:
    """Write the vector of each text of a file.

    The file is read twice: it is checked and counted before anything is computed. It is never in memory as a whole.

    Args:
        encoder: makes the vectors.
        file: of texts, in one of the `FORMATS`.
        output: `.npy` for an array (texts, width) in float32, `.parquet` for the columns `text` and `vector`.
        text_column: found by the usual names when None.
        encoding: of a file that is text.
        normalise: divide each vector by its length.
        progress: receives how far it is, and how many texts are not read whole.

    Returns:
        How many texts there are.

    Raises:
        InputError: the format of `output` is not known, or the file is empty or cannot be read.
        MissingExtraError: parquet needs the `train` extra.
    """
    require_encoding(encoding)
    write = _WRITERS.get(output.suffix.lower())
    if write is None:
        raise InputError(f"{output} has no format that vectors can be written in; give .npy or .parquet")
    count = sum(1 for _ in read_texts(file, text_column, encoding))
    if not count:
        raise InputError(f"{file} has no rows; give texts")
    progress.start("encoding", count, "texts")

    truncated = 0

    def blocks() -> Blocks:
        nonlocal truncated
        texts, done = read_texts(file, text_column, encoding), 0
        while block := list(islice(texts, _BLOCK)):
            yield block, encoder.encode(block, normalise=normalise)
            truncated += encoder.count_truncated(block)
            done += len(block)
            progress.update(done)

    try:
        with new_file(output) as temporary:
            write(temporary, blocks(), count, encoder.width)
    finally:
        progress.finish()
    if truncated:
        progress.say(encoder.not_read(truncated, count))
    return count


def _write_array(file: Path, blocks: Blocks, count: int, width: int) -> None:
    array = np.lib.format.open_memmap(file, "w+", np.float32, (count, width))
    start = 0
    for texts, vectors in blocks:
        array[start : start + len(texts)] = vectors
        start += len(texts)
    array.flush()


def _write_table(file: Path, blocks: Blocks, count: int, width: int) -> None:
    del count
    arrow, parquet = (needed(module, "writing parquet") for module in ("pyarrow", "pyarrow.parquet"))
    schema = arrow.schema([("text", arrow.string()), ("vector", arrow.list_(arrow.float32(), width))])
    with parquet.ParquetWriter(file, schema) as writer:
        for texts, vectors in blocks:
            flat = arrow.array(vectors.reshape(-1))
            columns = [arrow.array(texts, arrow.string()), arrow.FixedSizeListArray.from_arrays(flat, width)]
            writer.write_table(arrow.table(columns, schema=schema))


_WRITERS: dict[str, Callable[[Path, Blocks, int, int], None]] = {".npy": _write_array, ".parquet": _write_table}
