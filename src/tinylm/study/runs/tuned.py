"""A run whose settings of fine-tuning are searched on validation texts.

Every arm, from scratch included, has the same search, so that no arm is handicapped by settings made for another.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinylm.core.progress import Progress
from tinylm.study.grid import Facts, FailedRunError
from tinylm.study.runs.finetuned import Candidate, Finetuned, Finetuning, Start
from tinylm.study.runs.lab import Lab, Sample
from tinylm.study.runs.run import Run, name_of


class Searched(Run):
    """A run that stands for a `Finetuned` whose settings a search finds."""

    @abstractmethod
    def typical(self) -> Finetuned:
        """With the first candidate."""

    @abstractmethod
    def resolved(self, lab: Lab) -> Finetuned | None:
        """With the best candidate; None while the search is not done.

        Raises:
            FailedRunError: every candidate failed.
        """

    @property
    def title(self) -> str:
        """A phrase for people."""
        return self.typical().title

    def found(self, lab: Lab) -> Finetuned:
        """The run that it stands for.

        Raises:
            LookupError: that is not known yet.
        """
        run = self.resolved(lab)
        if run is None:
            raise LookupError(f"the search of {self.title} is not done")
        return run

    def facts(self, lab: Lab) -> Facts:
        """Those of the run that it stands for; raises as `found` does."""
        return self.found(lab).facts(lab)

    def measure(self, lab: Lab, progress: Progress) -> Facts:
        """Never called: the run that it stands for is measured."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tuned(Searched):
    """A `Finetuned` whose candidate is that of the best accuracy on the validation texts of the search's seed."""

    start: Start
    sample: Sample
    seed: int
    index: int
    finetuning: Finetuning
    candidates: tuple[Candidate, ...]
    search_seed: int

    def with_candidate(self, candidate: Candidate) -> Finetuned:
        """The run with one of the candidates."""
        start = self.start.at(self.seed, self.index)
        return Finetuned(start, self.sample, self.seed, self.index, self.finetuning, candidate)

    @property
    def repeats_a_need(self) -> bool:
        """At the search's own seed and member it is the best one of the search."""
        return len(self.candidates) > 1 and (self.seed, self.index) == (self.search_seed, 0)

    def typical(self) -> Finetuned:
        """See `Searched`."""
        return self.with_candidate(self.candidates[0])

    def needs(self, lab: Lab) -> Sequence[Run]:
        """The pre-trained member, and the runs of the search."""
        return [*self.typical().needs(lab), *self.search()]

    def search(self) -> Sequence[Finetuned]:
        """The runs of the search; none where there is nothing to choose."""
        if len(self.candidates) == 1:
            return ()
        searched = replace(self, seed=self.search_seed, index=0)
        return [searched.with_candidate(candidate) for candidate in self.candidates]

    def resolved(self, lab: Lab) -> Finetuned | None:
        """See `Searched`."""
        if len(self.candidates) == 1:
            return self.with_candidate(self.candidates[0])
        entries = [lab.store.find(name_of(run, lab)) for run in self.search()]
        if any(entry is None for entry in entries):
            return None
        found = [entry["measured"] if entry and "measured" in entry else None for entry in entries]
        # Of equal accuracies, which few validation texts give, the lower cross-entropy decides.
        ranks = [(m["validation"], -m["validation_cross_entropy"]) if m else (-1.0, 0.0) for m in found]
        best = max(range(len(ranks)), key=ranks.__getitem__)
        if found[best] is None:
            raise FailedRunError(f"every candidate of {self.title} failed: {entries[best]['failed']}")  # type: ignore[index]
        return self.with_candidate(self.candidates[best])
