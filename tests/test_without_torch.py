"""What answers needs no torch: in an interpreter that refuses to import it, or any other extra, everything is there."""

import json
import os
import subprocess
import sys
from importlib.metadata import requires

import pytest
from cli_fixtures import rows, write_csv
from voters import write_voters

from tinylm.steps.export import export

# The finder refuses what the base installation does not have, as if it were not installed.
_BARE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.split(".")[0])

sys.meta_path.insert(0, Refuse())
"""
_REFUSED = (
    "torch",
    "onnx",
    "datasets",
    "pyarrow",
    "sklearn",
    "scipy",
    "pandas",
    "transformers",
    "altair",
    "vl_convert",
)
_SERVING = ("fastapi", "starlette", "uvicorn", "prometheus_client")


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_voters(folder / "committee", [(tokenizer, {})] * 2)
    export(folder / "committee", folder / "artefact")
    write_csv(
        folder / "labels.csv", [(text, ("one", "two", "three")[i % 3]) for i, (text, _) in enumerate(rows(18, 1))]
    )
    return folder


def bare(program: str, folder, refused=(*_REFUSED, *_SERVING)) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _BARE.format(refused=set(refused)) + program],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.mark.parametrize("model", ["committee", "artefact"])
def test_a_model_answers(folder, model):
    ran = bare(f"import tinylm; print(tinylm.load({model!r}).predict('a text'), 'torch' in sys.modules)", folder)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[0] in ("one", "two", "three") and ran.stdout.split()[1] == "False"


@pytest.mark.parametrize("model", ["committee", "artefact"])
@pytest.mark.parametrize("command", [["predict", "{}", "a text", "--json"], ["evaluate", "{}", "labels.csv", "--json"]])
def test_the_commands_work(folder, model, command):
    arguments = [part.format(model) for part in command]
    ran = bare(f"from tinylm.cli.main import main; main({arguments!r})", folder)
    assert ran.returncode == 0, ran.stderr
    json.loads(ran.stdout)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["train", "--corpus", "labels.csv", "--task", "labels.csv", "-o", "new"], "train"),
        (["distill", "committee", "--corpus", "labels.csv", "-o", "new"], "train"),
        (["export", "committee", "-o", "new"], "train"),
        (["demo", "-o", "new"], "train"),
        (["study", "gap", "-o", "new"], "train"),
        (["serve", "committee"], "serve"),
    ],
)
def test_what_needs_an_extra_names_it(folder, arguments, extra):
    ran = bare(f"from tinylm.cli.main import main; main({arguments!r})", folder)
    assert ran.returncode == 2
    assert ran.stderr.strip().endswith(f"needs the `{extra}` extra; install it with: pip install 'tinylm[{extra}]'")
    assert not (folder / "new").exists()


def test_serving_needs_no_torch(folder):
    ran = bare("from tinylm.serving import app; import tinylm.serving.server", folder, refused=_REFUSED)
    assert ran.returncode == 0, ran.stderr


def test_what_is_refused_here_is_not_in_the_base_installation():
    base = {line.split(">")[0].replace("-", "_") for line in requires("tinylm") or [] if "extra ==" not in line}
    assert base and not base & {*_REFUSED, *_SERVING, "scikit_learn"}
