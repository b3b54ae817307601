"""`stop_signals` collects SIGINT and SIGTERM, and leaves the handlers as they were."""

import signal
import threading

import pytest

from tinylm.core.signals import stop_signals


def test_stop_signals_collects_them_and_restores_the_handlers():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_signals() as received:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):
            signal.raise_signal(number)
    assert received == [signal.SIGTERM, signal.SIGINT, signal.SIGINT]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_stop_signals_interrupts_on_the_second_and_restores_the_handlers():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_signals(interrupt_on_second=True) as received:
        signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM]
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


def test_stop_signals_changes_nothing_outside_the_main_thread():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with stop_signals() as received:
            seen.append((list(received), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [([], before)]
