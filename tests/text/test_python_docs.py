"""The documentation of installed packages, and the task made of it."""

import multiprocessing
from pathlib import Path

import pytest
from jobs import killed

from tinylm.core.errors import InputError, TinyLMError
from tinylm.study import library_task
from tinylm.text import python_docs as docs
from tinylm.text.corpus import open_corpus
from tinylm.text.python_docs import Library, cached_documentation, clean, installed_documentation, installed_libraries

MODULE = '''"""A module about the numbers that a long enough text can speak of, for eighty characters and more."""

def documented():
    """Return what was asked for, after a long while, as this docstring is at pains to explain.

    >>> documented()
    ... # and more
    1
    """
    def inner():
        """Nobody reads this one, however long it may be, since it is inside of another function."""

class Short:
    """Too short."""

    async def method(self):
        """Wait for the thing to come, and when it has come, return it to whom it may concern, gladly."""
'''


def library(folder: Path, name: str, source: str = MODULE) -> Library:
    path = folder / name / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    imports = ("sklearn",) if name == "scikit-learn" else (name,)
    return Library(name, "1.0", imports, (path, folder / "gone.py"))


def test_docstrings_of_modules_classes_and_functions(tmp_path):
    texts = [text for _, text in installed_documentation([library(tmp_path, "one")])]
    assert [text.split()[0] for text in texts] == ["A", "Return", "Wait"]
    assert texts[1].endswith("documented()\n# and more\n1")


def test_processes_read_what_one_reads_in_its_order(tmp_path, monkeypatch):
    libraries = [library(tmp_path, f"number{number}", MODULE.replace("numbers", f"{number}")) for number in range(4)]
    alone = list(installed_documentation(libraries))
    monkeypatch.setattr(docs, "_FEW", 1)
    monkeypatch.setattr(docs, "usable_cores", lambda: 2)
    assert list(installed_documentation(libraries)) == alone and len(alone) == 12
    others = set(multiprocessing.active_children())
    pairs = installed_documentation(libraries)
    assert next(pairs) == alone[0]
    assert set(multiprocessing.active_children()) > others
    pairs.close()
    assert set(multiprocessing.active_children()) <= others, "whoever stops reading leaves no process behind"


def test_a_process_that_is_killed_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(docs, "_FEW", 1)
    monkeypatch.setattr(docs, "usable_cores", lambda: 2)
    monkeypatch.setattr(docs, "_read", killed)
    with pytest.raises(TinyLMError, match=r"killed while reading documentation.*start again"):
        list(installed_documentation([library(tmp_path, f"number{number}") for number in range(4)]))


def test_code_that_cannot_be_parsed_is_no_documentation(tmp_path):
    assert list(installed_documentation([library(tmp_path, "one", 'def x(:\n    """text"""')])) == []


def test_clean_keeps_text_and_drops_prompts():
    assert clean("  Title.\n\n\n\n    >>> x = 1\n    >>>\n    >>> x >>> 2\n") == "Title.\n\nx = 1\n\nx >>> 2"


def test_this_machine_has_documentation():
    names = [library.name for library in installed_libraries()]
    assert "numpy" in names
    assert "tinylm" not in names
    assert names == sorted(names, key=str.lower)
    numpy = next(library for library in installed_libraries() if library.name == "numpy")
    assert "numpy" in numpy.imports
    assert not any("tests" in path.parts for path in numpy.sources)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Three libraries with thirty distinct docstrings each, which name all of them."""

    def source(name: str) -> str:
        text = "Call torch, PyTorchs, is_torch_tensor, np.array and scikit-learn's sklearn.fit or SciKit_Learn."
        return "".join(f'def f{i}():\n    """{name} {i} of {ord(name[0])}. {text}"""\n' for i in range(30))

    found = [library(tmp_path, name, source(name)) for name in ("numpy", "scikit-learn", "torch")]
    monkeypatch.setattr(docs, "installed_libraries", lambda: found)
    monkeypatch.setattr(library_task, "installed_libraries", lambda: found)


@pytest.mark.usefixtures("machine")
def test_no_library_is_named_in_the_task():
    corpus, task = library_task.library_task(libraries=3, train_per_label=5, test_per_label=10)
    assert task.labels == ("numpy", "scikit-learn", "torch")
    assert (len(task.train), len(task.test)) == (15, 30)
    for text in task.train.texts + task.test.texts:
        lower = text.lower()
        assert not any(name in lower for name in ("numpy", "torch", "scikit", "sklearn", "np."))
        assert "is_library_tensor" in text
    left = list(corpus.documents())
    assert len(left) == 90 - 45
    assert any("torch" in text for text in left)


@pytest.mark.usefixtures("machine")
def test_the_documentation_is_read_once(monkeypatch):
    first = cached_documentation()
    monkeypatch.setattr(docs, "installed_documentation", lambda _: pytest.fail("read again"))
    assert len(list(cached_documentation().texts())) == 90
    assert cached_documentation().fingerprint == first.fingerprint


@pytest.mark.usefixtures("machine")
def test_docs_is_a_corpus():
    corpus = open_corpus("docs:", documents=7)
    assert len(list(corpus.documents())) == 7


def test_texts_that_differ_in_the_name_alone_are_taken_once(tmp_path, monkeypatch):
    template = "".join(f'def f{i}():\n    """NAME {i} {"does what it says on the tin, " * 4}"""\n' for i in range(8))
    found = [library(tmp_path, name, template.replace("NAME", name)) for name in ("numpy", "torch")]
    monkeypatch.setattr(docs, "installed_libraries", lambda: found)
    monkeypatch.setattr(library_task, "installed_libraries", lambda: found)
    _, task = library_task.library_task(libraries=2, train_per_label=2, test_per_label=3)
    texts = task.train.texts + task.test.texts
    assert len(texts) == len(set(texts)) == 8
    assert "Fewer than 5 texts that differ without the names: torch 3" in task.notes[-1]


@pytest.mark.usefixtures("machine")
def test_too_little_documentation():
    with pytest.raises(InputError, match="0 installed libraries have 120"):
        library_task.library_task()


def test_masking_on_real_documentation():
    found = {library.name: library for library in installed_libraries()}
    chosen = [found[name] for name in ("numpy", "safetensors", "huggingface_hub") if name in found]
    pattern = library_task.name_pattern(chosen)
    names = {name.lower() for library in chosen for name in (library.name, *library.imports)}
    hub = found["huggingface_hub"]
    few = Library(hub.name, hub.version, hub.imports, hub.sources[:40])
    texts = [pattern.sub(library_task.NEUTRAL, text).lower() for _, text in installed_documentation([few])]
    assert len(texts) > 10
    assert not [text for text in texts if any(name in text for name in names)]
