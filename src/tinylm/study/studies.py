"""The studies by name; a question is added by a file of its own and an entry here."""

from tinylm.core.errors import InputError
from tinylm.study.declaration import Study
from tinylm.study.questions.committee import Committee
from tinylm.study.questions.gap import Gap
from tinylm.study.questions.latency import Latency
from tinylm.study.questions.overlap import OverlapStudy
from tinylm.study.questions.rates import Rates
from tinylm.study.questions.shape import Shape
from tinylm.study.questions.size import Size

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
