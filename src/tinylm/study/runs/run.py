"""What a run is: facts that determine it, runs that it needs, and a measurement."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache

from tinylm.core.progress import Progress
from tinylm.study.grid import Facts, run_name
from tinylm.study.runs.lab import Lab


class Run(ABC):
    """One measurement; a frozen dataclass, so that equal runs are one.

    A run from outside is a subclass of this.
    """

    alone: bool = False
    """Whether nothing else may run meanwhile, since time is what it measures."""

    @property
    def repeats_a_need(self) -> bool:
        """Whether it will turn out to be one of the runs that it needs."""
        return False

    @property
    @abstractmethod
    def title(self) -> str:
        """A phrase for people."""

    @abstractmethod
    def facts(self, lab: Lab) -> Facts:
        """All that determines the result; `kind` is part of the run's name."""

    @abstractmethod
    def measure(self, lab: Lab, progress: Progress) -> Facts:
        """Do it; files go to `lab.store.folder(name_of(run, lab))`."""

    def needs(self, lab: Lab) -> "Sequence[Run]":
        """Runs that have to be done before."""
        del lab
        return ()

    def resolved(self, lab: Lab) -> "Run | None":
        """The run that this one stands for; None while that is not known, and itself where it stands for none."""
        del lab
        return self

    def typical(self) -> "Run":
        """A run that takes as long, where it is not known yet which one this stands for."""
        return self


@lru_cache(maxsize=100_000)
def name_of(run: Run, lab: Lab) -> str:
    """The name that a run is stored under."""
    return run_name(run.facts(lab))
