"""`tinylm serve` as a process, with a classifier that needs no model: what test_server_stopping.py starts."""

import os
import signal
import sys

from server_fixtures import FakeClassifier

from tinylm.serving import server, workers


def load(folder, threads=1) -> FakeClassifier:
    """A classifier that takes as long as the name of its folder says."""
    if str(folder) not in ("broken", "killed"):
        return FakeClassifier(seconds=float(str(folder)))
    if __name__ != "__main__":
        if str(folder) == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise SystemExit(7)
    return FakeClassifier()


# The workers run this file too, so that they find the same.
server.load = workers.load = load  # type: ignore[assignment]

if __name__ == "__main__":
    from tinylm.cli.main import main

    main(["serve", *sys.argv[1:]])
