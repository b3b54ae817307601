"""What is wrong with texts in memory: each row of the second table of docs/BAD_INPUT.md says what is said."""

import re
from pathlib import Path

import pytest
from cli_fixtures import rows

import tinylm

DOCUMENT = (Path(__file__).parents[1] / "docs" / "BAD_INPUT.md").read_text(encoding="utf-8")
SECTION = DOCUMENT.partition("## Refused in Python")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (.*) \| `(tinylm\..*)` \| (.*) \|$", SECTION, re.MULTILINE)
TEXTS, LABELS = map(list, zip(*rows(60, 1), strict=True))


@pytest.mark.parametrize(("what", "call", "said"), ROWS, ids=[what for what, *_ in ROWS])
def test_what_the_document_says_is_what_is_said(what, call, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = {"tinylm": tinylm, "texts": TEXTS, "labels": LABELS, "frame": {"text": TEXTS, "label": LABELS}}
    with pytest.raises(tinylm.TinyLMError) as raised:
        eval(call, known)
    assert str(raised.value) == said
    assert not list(tmp_path.iterdir())


def test_the_document_has_them():
    assert len(ROWS) == SECTION.count("`tinylm.f") + SECTION.count("`tinylm.p") >= 16
