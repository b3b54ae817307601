"""The studies by name; a question is added by a file of its own and an entry here."""

from tinylm.core.errors import InputError
from tinylm.study.committee import Committee
from tinylm.study.declaration import Study
from tinylm.study.gap import Gap
from tinylm.study.latency import Latency
from tinylm.study.overlap import OverlapStudy
from tinylm.study.rates import Rates
from tinylm.study.shape import Shape
from tinylm.study.size import Size

STUDIES: dict[str, type[Study]] = {
    study.name: study for study in (Rates, Gap, Size, OverlapStudy, Committee, Latency, Shape)
}


def study_named(name: str) -> type[Study]:
    """The study of that name.

    Raises:
        InputError: there is none.
    """
    if name not in STUDIES:
        raise InputError(f"no study is called {name!r}; choose from {', '.join(STUDIES)}, recipe")
    return STUDIES[name]
