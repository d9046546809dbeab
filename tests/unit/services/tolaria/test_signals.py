from __future__ import annotations

import signal
import threading

import pytest

from esper.services.tolaria.signals import StopRequest, exit_status


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_noted_and_the_handlers_are_given_back(signum: signal.Signals) -> None:
    before = signal.getsignal(signum)
    with StopRequest() as stop:
        assert not stop.is_asked
        signal.raise_signal(signum)
        assert stop.signum == signum
        assert signal.getsignal(signum) is before
    assert signal.getsignal(signum) is before


def test_a_terminal_that_closes_asks_once_however_often_it_says_so() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with StopRequest() as stop:
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
        assert stop.signum == signal.SIGHUP
    assert signal.getsignal(signal.SIGHUP) is before


def test_a_run_under_nohup_goes_on_when_the_terminal_closes() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_asked
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_second_interrupt_is_not_held_back() -> None:
    # Raised in this thread: one sent to the process may reach another first, and two become one.
    with StopRequest():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_any_thread_may_ask() -> None:
    stop = StopRequest()

    def work() -> None:
        with stop:
            stop.ask()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert stop.signum == signal.SIGTERM


def test_exit_status_is_the_one_of_shells() -> None:
    assert exit_status(signal.SIGHUP) == 129
    assert exit_status(signal.SIGINT) == 130
    assert exit_status(signal.SIGTERM) == 143
