"""Overlapping calls of a NumPy classifier leave the thread limit of BLAS as it was."""

import threading

import pytest
from threadpoolctl import ThreadpoolController
from voters import write_voters

from tinylm.runtime import backends
from tinylm.runtime.loading import load

BEFORE = 2
SECONDS = 20


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()}


def set_blas_threads(number: int) -> None:
    limit = ThreadpoolController().limit
    thread = threading.Thread(target=limit, kwargs={"limits": number, "user_api": "blas"})
    thread.start()
    thread.join(SECONDS)


@pytest.fixture
def two_threads():
    """Set by a thread that has ended: threadpoolctl lets no other change what a living thread set."""
    found = max(blas_threads())
    set_blas_threads(BEFORE)
    assert blas_threads() == {BEFORE}
    yield
    set_blas_threads(found)


def test_numpy_backend_restores_the_thread_limit_after_overlapping_calls(tokenizer, tmp_path, monkeypatch, two_threads):
    """The first call begins, the second begins, the first ends, the second ends."""
    classifier = load(write_voters(tmp_path, [(tokenizer, {})]))
    inside = {name: threading.Event() for name in ("first", "second")}
    leave = {name: threading.Event() for name in ("first", "second")}
    compute = backends.forward_committee

    def held(*args):
        name = threading.current_thread().name
        inside[name].set()
        assert leave[name].wait(SECONDS)
        return compute(*args)

    monkeypatch.setattr(backends, "forward_committee", held)
    calls = {name: threading.Thread(target=classifier.predict, args=("a text",), name=name) for name in inside}
    for name, call in calls.items():
        call.start()
        assert inside[name].wait(SECONDS)
    during = [blas_threads()]
    leave["first"].set()
    calls["first"].join(SECONDS)
    during.append(blas_threads())
    leave["second"].set()
    calls["second"].join(SECONDS)

    assert not any(call.is_alive() for call in calls.values())
    assert blas_threads() == {BEFORE}
    assert during == [{1}, {1}]
