"""Documents of a plain text file: one a line, or separated by blank lines."""

import itertools
from collections.abc import Iterator, Sequence

from tinylm.text.tables import PlainText

PROBE = 1 << 16
"""Characters of a plain text file that decide how its documents are separated."""

LINES_PER_PARAGRAPH = 50
"""More lines than this between blank ones, on average, and the blank ones separate nothing."""


def plain_documents(table: PlainText) -> Iterator[str]:
    """Documents of a plain text file: one a line, or separated by blank lines.

    They are separated by blank lines if the first 64 k characters have a blank line between lines of text,
    and at most 50 lines of text to each of its paragraphs: a stray blank line in a file of one document a
    line does not count. (Where every paragraph is one line, both readings agree.)
    """
    lines = (line for _, line in table.lines())
    probe, size = [], 0
    for line in lines:
        probe.append(line)
        size += len(line)
        if size >= PROBE:
            break
    everything = itertools.chain(probe, lines)
    if not _has_paragraphs(probe):
        yield from (line.strip() for line in everything)
        return
    for blank, paragraph in itertools.groupby(everything, key=str.isspace):
        if not blank:
            yield "".join(paragraph).strip()


def _has_paragraphs(lines: Sequence[str]) -> bool:
    lengths = [len(list(run)) for blank, run in itertools.groupby(lines, key=str.isspace) if not blank]
    return len(lengths) > 1 and sum(lengths) <= LINES_PER_PARAGRAPH * len(lengths)
