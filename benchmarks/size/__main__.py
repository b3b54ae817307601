"""How much the base package takes up once it is installed: all that answers, without what trains.

    python -m benchmarks.size [--model FOLDER]

Makes a new virtual environment in a temporary folder, installs tinylm there without extras, and counts what was put
into it. pip and setuptools are not counted. With a model, a text is classified in that environment too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

_LIMIT_MB = 200.0
_PROJECT = Path(__file__).resolve().parents[2]
_NOT_OURS = ("pip", "setuptools", "_distutils_hack", "distutils-precedence.pth", "pkg_resources")
_CHECK = """
import importlib.util, sys, tinylm
assert importlib.util.find_spec("torch") is None, "torch is installed"
tinylm.load
for folder in sys.argv[1:]:
    print(folder, "answers", tinylm.load(folder).predict("Shares of the company rose after it reported its earnings."))
assert "torch" not in sys.modules
"""


def _files(path: Path) -> list[Path]:
    return [Path(place) / name for place, _, names in os.walk(path) for name in names] if path.is_dir() else [path]


def _disk_bytes(files: Iterable[Path]) -> int:
    """What `du` counts: whole blocks."""
    return sum(file.lstat().st_blocks * 512 for file in files)


def _package(name: str) -> str:
    """Libraries and metadata go with their package: `numpy.libs`, `numpy-2.4.6.dist-info`, `numpy` are one."""
    return name.removesuffix(".libs").removesuffix(".py").split("-")[0].lower()


def main() -> None:
    """Install, count, check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", type=Path, default=[], help="models to load in the new environment")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        python = str(Path(place) / ("Scripts" if os.name == "nt" else "bin") / "python")
        pinned = ["--constraint", str(_PROJECT / "constraints.txt")]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *pinned, str(_PROJECT)], check=True)
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip())
        sizes: dict[str, int] = defaultdict(int)
        compiled = 0
        for path in site.iterdir():
            if _package(path.name) not in _NOT_OURS and path.name not in _NOT_OURS:
                files = _files(path)
                sizes[_package(path.name)] += _disk_bytes(files)
                compiled += _disk_bytes(file for file in files if file.suffix == ".pyc")
        # Not in the project's folder, from which Python would import what is not installed.
        models = [str(model.resolve()) for model in arguments.model]
        subprocess.run([python, "-c", _CHECK, *models], check=True, cwd=place)
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size / 1e6:8.1f} MB  {name}")
    total = sum(sizes.values()) / 1e6
    print(f"{total:8.1f} MB  in total: {'under' if total < _LIMIT_MB else 'NOT under'} {_LIMIT_MB:.0f} MB (10^6 bytes)")
    print(f"{compiled / 1e6:8.1f} MB  of it is compiled by pip (.pyc)")
    print("torch is not among them; `import tinylm` and `tinylm.load` work")
    raise SystemExit(total >= _LIMIT_MB)


if __name__ == "__main__":
    main()
