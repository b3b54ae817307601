"""Ctrl-C and SIGTERM as a list to look at, for work that ends in good order."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_signals(*, interrupt_on_second: bool = False) -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM while the context is open; the handlers of before are restored at its end.

    Only the main thread may set signal handlers: in any other the list stays empty, and nothing is changed.

    Args:
        interrupt_on_second: raise `KeyboardInterrupt` on every signal after the first, instead of collecting it.

    Yields:
        The numbers of the signals received, a list that grows.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def receive(number: int, _: FrameType | None) -> None:
        if received and interrupt_on_second:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
