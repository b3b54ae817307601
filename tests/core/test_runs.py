"""Folders that know what run they hold."""

import json

import pytest

from tinylm.core.errors import InputError
from tinylm.core.runs import RUN, claim, is_free, read_record

RECORD = {"corpus": "notes.txt", "settings": {"seed": 0, "steps": None}, "presets": ("a", "b")}


def started(folder):
    claim(folder, RECORD, resume=False)
    (folder / "member-0").mkdir()


def test_a_new_folder_is_made_and_remembers(tmp_path):
    claim(tmp_path / "deep" / "run", RECORD, resume=False)
    assert read_record(tmp_path / "deep" / "run") == json.loads(json.dumps(RECORD))


def test_a_folder_without_a_run_has_no_record(tmp_path):
    assert read_record(tmp_path) == {}


def test_a_run_is_gone_on_with_only_when_asked(tmp_path):
    started(tmp_path)
    claim(tmp_path, RECORD, resume=True)
    with pytest.raises(InputError, match="already holds a run; add --resume"):
        claim(tmp_path, RECORD, resume=False)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"settings": {"seed": 1, "steps": None}}, "settings.seed was 0 and is now 1"),
        ({"settings": {"seed": 0, "steps": 5}}, "settings.steps was None and is now 5"),
        ({"presets": ("a",)}, r"presets was \['a', 'b'\] and is now \['a'\]"),
        ({"more": True}, "more was None and is now True"),
        ({"corpus_fingerprint": "f00"}, "the corpus has changed since; resume"),
    ],
)
def test_the_first_difference_is_named_and_nothing_is_written(tmp_path, change, named):
    started(tmp_path)
    before = (tmp_path / RUN).read_bytes()
    with pytest.raises(InputError, match=named):
        claim(tmp_path, {**RECORD, **change}, resume=True)
    assert (tmp_path / RUN).read_bytes() == before


def test_a_run_that_has_made_nothing_may_be_asked_for_otherwise(tmp_path):
    claim(tmp_path, RECORD, resume=False)
    claim(tmp_path, {"corpus": "other.txt"}, resume=False)
    assert read_record(tmp_path) == {"corpus": "other.txt"}


def test_a_vocabulary_from_before_there_was_a_choice_has_no_accents(tmp_path):
    before = {"presets": ["bert-1"], "vocabulary": None}
    claim(tmp_path, before, resume=False)
    (tmp_path / "vocabulary-30000").mkdir()
    claim(tmp_path, {**before, "case": "fold", "accents": "strip"}, resume=True)
    with pytest.raises(InputError, match="accents was 'strip' and is now 'keep'; resume with what it was started with"):
        claim(tmp_path, {**before, "case": "fold", "accents": "keep"}, resume=True)


def test_a_vocabulary_that_was_given_leaves_no_choice(tmp_path):
    given = {"presets": ["bert-1"], "vocabulary": "bert-base-uncased"}
    claim(tmp_path, given, resume=False)
    assert read_record(tmp_path) == given


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("dear reader")
    with pytest.raises(InputError, match=r"holds something else \(thesis.tex\)"):
        claim(tmp_path, RECORD, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_may_stand_beside_a_run_does_not_take_its_folder(tmp_path):
    (tmp_path / "pretrained").mkdir()
    assert is_free(tmp_path, resume=False, may_hold=("pretrained",))
    with pytest.raises(InputError, match="holds something else"):
        is_free(tmp_path, resume=False)


def test_a_file_and_a_place_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; choose a folder"):
        claim(tmp_path / "file", RECORD, resume=False)
    with pytest.raises(InputError, match="cannot write to"):
        claim(tmp_path / "file" / "below", RECORD, resume=False)
