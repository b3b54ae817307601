"""Runs of the study `overlap`: how far a subset overlaps with a task, and a member with settings found for another."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from tinylm.core.progress import Progress
from tinylm.study.grid import Facts
from tinylm.study.runs.arms import arm
from tinylm.study.runs.finetuned import Finetuned
from tinylm.study.runs.lab import Lab, Sample
from tinylm.study.runs.pretrained import Pretrained
from tinylm.study.runs.run import Run
from tinylm.study.runs.tuned import Searched, Tuned
from tinylm.tokens.overlap import count_tokens, overlap
from tinylm.tokens.selection import READ


@dataclass(frozen=True)
class Overlapped(Run):
    """Overlap of what a member is pre-trained on with a task; measured in shares, 0 to 1, `types` and so on."""

    member: Pretrained
    task: str

    @property
    def title(self) -> str:
        """See `Run`."""
        return f"overlap of {self.member.subset.title} with {self.task}, seed {self.member.seed}"

    def facts(self, lab: Lab) -> Facts:
        """See `Run`."""
        return {
            "kind": "overlap",
            "edition": 1,
            **lab.text_facts(self.member.text),
            "subset": asdict(self.member.subset),
            "read": self._read(),
            "seed": self.member.seed,
            "of": lab.task_facts(Sample(self.task), self.member.seed),
        }

    def measure(self, lab: Lab, progress: Progress) -> Facts:
        """See `Run`."""
        del progress
        counts = count_tokens(self.member.tokens(lab), length=self._read())
        task = lab.task_tokens(self.task, self.member.text, self.member.seed)
        return {f"overlap_{name}": share for name, share in asdict(overlap(task, counts)).items()}

    def _read(self) -> int | None:
        """Tokens of a document that the member sees."""
        return READ if arm(self.member.arm).sequences == "truncated" else None


@dataclass(frozen=True)
class SameSettings(Searched):
    """A member fine-tuned with the settings that the search of another member found."""

    start: Pretrained
    searched: Tuned

    def typical(self) -> Finetuned:
        """See `Searched`."""
        return replace(self.searched.with_candidate(self.searched.candidates[0]), start=self.start)

    def needs(self, lab: Lab) -> Sequence[Run]:
        """See `Run`."""
        del lab
        return [self.start, *self.searched.search()]

    def resolved(self, lab: Lab) -> Finetuned | None:
        """See `Searched`."""
        found = self.searched.resolved(lab)
        return None if found is None else replace(found, start=self.start)
