"""Accuracy of classifiers in one table, a row a task, with what the first is ahead of the better of the others."""

from collections.abc import Iterator, Mapping

from tinylm.study.statistics.intervals import Interval, paired_difference, t_interval

Draws = Mapping[int, float]
"""Per cent, by the seed of the draw."""


def rows_of_classifiers(found: Mapping[str, Mapping[str, Draws]], ours: str) -> Iterator[str]:
    """Lines of Markdown: means over draws with 95 % intervals, and paired differences on the same draws.

    Args:
        found: draws by classifier, by task.
        ours: the classifier that is compared with the one of the others that has the highest mean on the task.
    """
    known = {name for classifiers in found.values() for name in classifiers}
    names = sorted(known, key=lambda name: (name != ours, name))
    yield f"| task | {' | '.join(names)} | {ours} minus the best other |"
    yield f"|---|{'--:|' * (len(names) + 1)}"
    differences: list[Interval] = []
    for task, classifiers in sorted(found.items()):
        means = {name: t_interval(list(draws.values())) for name, draws in classifiers.items()}
        difference = _minus_the_best(classifiers, ours, means)
        if difference is not None:
            differences.append(difference)
        yield f"| {task} | {' | '.join(str(means.get(name, '-')) for name in names)} | {difference or '-'} |"
    if differences:
        ahead = sum(difference.mean >= 0 for difference in differences)
        behind = sum(difference.mean < -1 for difference in differences)
        mean = t_interval([difference.mean for difference in differences])
        yield f"\n{ahead} of {len(differences)} ahead or level, {behind} behind by more than a point; mean {mean}"


def _minus_the_best(classifiers: Mapping[str, Draws], ours: str, means: Mapping[str, Interval]) -> Interval | None:
    others = [name for name in classifiers if name != ours]
    if ours not in classifiers or not others:
        return None
    best = max(others, key=lambda name: means[name].mean)
    return paired_difference(classifiers[ours], classifiers[best])
