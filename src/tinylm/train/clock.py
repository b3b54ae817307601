"""How far a run is: by the count of updates, or by the wall clock of rank 0, so that all processes agree."""

import time

from tinylm.train.distributed import DistributedContext


class Clock:
    """Seconds spent on a run, over all its resumptions, and the share of the run that is done.

    Args:
        steps: updates of the whole run; None where `budget` decides.
        budget: seconds of the whole run; infinite where `steps` decides.
        processes: the processes that take part.

    Attributes:
        reserved: seconds of the budget that are kept for the last validation.
    """

    def __init__(self, steps: int | None, budget: float, processes: DistributedContext) -> None:
        self.steps, self.budget, self._processes = steps, budget, processes
        self.reserved = 0.0
        self.resume(0.0)

    def resume(self, seconds: float) -> None:
        """Go on from so many seconds."""
        self._offset = seconds - time.perf_counter()

    def seconds(self) -> float:
        """Seconds spent, on the clock of this process."""
        return time.perf_counter() + self._offset

    def progress(self, step: int) -> float:
        """Share of the run that is done before update `step`, 0 to 1; with 1, no further update is begun."""
        if self.steps is not None:
            return step / self.steps
        spent, available = self.seconds(), self.budget - self.reserved
        # An update that would end late is not begun.
        pace = spent / step if step else 0.0
        return self._processes.broadcast(1.0 if spent + pace / 2 >= available else spent / available)

    def middle(self, step: int, begun: float) -> float:
        """Share of the run at the middle of an update, above 0 and below 1: what its learning rate depends on.

        Args:
            step: the update; with a budget, call this when its gradients are known.
            begun: `progress` before it, below 1.
        """
        if self.steps is not None:
            return (step + 0.5) / self.steps
        now = min(self.seconds() / (self.budget - self.reserved), 1.0)
        return self._processes.broadcast((begun + now) / 2)
