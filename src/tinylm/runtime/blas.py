"""The number of threads that NumPy's matrix products use: one setting of the process, shared by all threads."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_callers = 0
_limiter: Any = None
_setter = ThreadPoolExecutor(1, "blas-limit")
"""All changes come from one thread: threadpoolctl 3.8 lets only the first thread that sets OpenBLAS's limit change it
again for as long as that thread lives, and ignores the others."""


@contextmanager
def limit_threads(threads: int) -> Iterator[None]:
    """Limit the threads of BLAS while the block runs.

    BLAS has one limit for the whole process. Of calls that overlap, the first sets its limit and the last to end
    restores what was set before; the limit of the first therefore holds for all of them, also where they give other
    numbers of threads. Where another thread of the program holds OpenBLAS's limit through threadpoolctl 3.8 or later,
    that limit stays.
    """
    global _callers, _limiter  # noqa: PLW0603
    with _lock:
        if not _callers:
            _limiter = _setter.submit(_limit, threads).result()
        _callers += 1
    try:
        yield
    finally:
        with _lock:
            _callers -= 1
            if not _callers:
                _setter.submit(_limiter.restore_original_limits).result()
                _limiter = None


def _limit(threads: int) -> Any:
    return _controller().limit(limits=threads, user_api="blas")


def _start_anew() -> None:
    """In a forked process: the setter thread is not there, nor are the callers of the parent."""
    global _callers, _limiter, _lock, _setter
    _lock, _callers, _limiter, _setter = threading.Lock(), 0, None, ThreadPoolExecutor(1, "blas-limit")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


@cache
def _controller() -> "ThreadpoolController":
    """Looks through the libraries of the process, which takes milliseconds, so it is made once."""
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415

    return ThreadpoolController()
