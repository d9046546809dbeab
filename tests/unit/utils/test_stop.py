from __future__ import annotations

import signal
import threading

from esper.utils.stop import Flag, set_at_signals, stop_signals


def test_a_flag_waits_until_it_is_set() -> None:
    flag = Flag()
    assert not flag.wait(0.01)
    threading.Timer(0.05, flag.set).start()
    assert flag.wait(30.0)
    assert flag.is_set()


def test_a_signal_handler_may_set_it_while_its_own_thread_waits() -> None:
    flag = Flag()
    before = signal.signal(signal.SIGALRM, lambda *_: flag.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert flag.wait(30.0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_terminal_that_is_gone_asks_to_stop_unless_the_process_was_told_to_outlive_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert stop_signals() == (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
        assert stop_signals() == (signal.SIGTERM, signal.SIGINT)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_first_signal_asks_to_stop_and_the_next_one_to_hurry() -> None:
    before = {number: signal.getsignal(number) for number in stop_signals()}
    stop, hurry = Flag(), Flag()
    try:
        set_at_signals(stop, hurry)
        signal.raise_signal(signal.SIGHUP)
        assert stop.is_set()
        signal.raise_signal(signal.SIGHUP)  # a terminal that closes may send it several times
        assert not hurry.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert hurry.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
