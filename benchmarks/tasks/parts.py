"""What pre-training, bigrams and kinds of member that differ are worth to a committee, without search and n-grams."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tinylm.core.progress import Silent
from tinylm.evaluation.committees import evaluate_committee
from tinylm.steps.base import Base
from tinylm.steps.committees import finetune_committee
from tinylm.study.statistics.intervals import t_interval
from tinylm.text.splits import Task
from tinylm.train.settings import FinetuneSettings

SCRATCH, SCRATCH_BIGRAMS = "from scratch", "from scratch, bigrams"
PRETRAINED, PRETRAINED_BIGRAMS = "pre-trained", "pre-trained, bigrams"
KINDS = "pre-trained, kinds in turn"

_WORD_DROPOUT = 0.3
"""Of all members but those of kinds in turn."""

_DIFFERENCES = {
    "pre-training": (PRETRAINED, SCRATCH),
    "pre-training, with bigrams": (PRETRAINED_BIGRAMS, SCRATCH_BIGRAMS),
    "bigrams": (PRETRAINED_BIGRAMS, PRETRAINED),
    "bigrams, from scratch": (SCRATCH_BIGRAMS, SCRATCH),
    "kinds in turn": (KINDS, PRETRAINED_BIGRAMS),
}
"""What is worth the difference of which two."""


def accuracy_of_parts(task: Task, base: Base, seed: int) -> dict[str, float]:
    """Accuracy in the test part, 0 to 1, of a committee of each sort.

    Args:
        task: what to learn.
        base: the pre-trained members; those from scratch take their shapes and vocabularies.
        seed: of fine-tuning.
    """
    in_turn = FinetuneSettings(search=False, seed=seed)
    plain, with_bigrams = (replace(in_turn, word_dropout=_WORD_DROPOUT, bigrams=bigrams) for bigrams in (False, True))
    committees = {
        SCRATCH: (plain, True),
        SCRATCH_BIGRAMS: (with_bigrams, True),
        PRETRAINED: (plain, False),
        PRETRAINED_BIGRAMS: (with_bigrams, False),
        KINDS: (in_turn, False),
    }
    found = {}
    for name, (settings, scratch) in committees.items():
        with tempfile.TemporaryDirectory() as folder:
            committee = finetune_committee(
                Path(folder), base.members, task, settings, "probability", Silent(), from_scratch=scratch
            )
            found[name] = evaluate_committee(committee, task.test).committee.accuracy
    return found


def rows_of_parts(found: Mapping[tuple[str, str], Mapping[int, Mapping[str, float]]]) -> Iterator[str]:
    """What each part adds, in points, a row of Markdown a task, and one of the mean over tasks, with 95 % intervals.

    Args:
        found: per cent of each committee, by seed, by labels of each class and task.
    """
    yield f"| labels a class | task | {' | '.join(_DIFFERENCES)} |"
    yield f"|---|---|{'--:|' * len(_DIFFERENCES)}"
    means = defaultdict[str, dict[str, list[float]]](lambda: defaultdict(list))
    for (labels, task), by_seed in sorted(found.items()):
        cells = []
        for part, (ours, theirs) in _DIFFERENCES.items():
            interval = t_interval([accuracies[ours] - accuracies[theirs] for accuracies in by_seed.values()])
            means[labels][part].append(interval.mean)
            cells.append(str(interval))
        yield f"| {labels} | {task} | {' | '.join(cells)} |"
    for labels, by_part in means.items():
        yield f"| {labels} | mean | {' | '.join(str(t_interval(values)) for values in by_part.values())} |"
