from __future__ import annotations

import signal
from random import Random
from threading import Event

from esper.utils.backoff import Backoff
from esper.utils.kept_process import KeptProcess, wait_for_ends
from support.clocks import StillClock


class Child:
    """A process that ends when the test says so."""

    def __init__(self) -> None:
        self.pid = 2**22 + 1  # above what Linux gives out: nobody is hit
        self.status: int | None = None

    def poll(self) -> int | None:
        return self.status


class Kept:
    def __init__(self) -> None:
        self.clock = StillClock()
        self.children: list[Child] = []
        backoff = Backoff(4.0, 100.0, Random(0))
        self.kept = KeptProcess(
            "one", self._start, backoff=backoff, steady_seconds=60.0, clock=self.clock
        )

    def _start(self) -> Child:
        self.children.append(Child())
        return self.children[-1]

    def end(self, status: int) -> float:
        self.children[-1].status = status
        assert self.kept.reap() == status
        return self.kept.failed()


def test_a_process_is_started_once_and_again_only_after_its_pause() -> None:
    it = Kept()
    assert it.kept.pid is None
    assert it.kept.start()
    assert not it.kept.start()
    assert it.kept.reap() is None
    pause = it.end(3)
    assert it.kept.pid is None
    assert it.kept.reap() is None
    it.clock.advance(pause - 0.01)
    assert not it.kept.start()
    it.clock.advance(0.01)
    assert it.kept.start()
    assert (it.kept.starts, it.kept.failures) == (2, 1)


def test_pauses_grow_until_a_process_has_lived_long_enough() -> None:
    it = Kept()
    pauses = []
    for lived in (0.0, 0.0, 0.0, 61.0):
        assert it.kept.start()
        it.clock.advance(lived)
        pauses.append(it.end(1))
        it.clock.advance(pauses[-1])
    assert 2 <= pauses[0] <= 4 <= pauses[1] <= 8 <= pauses[2] <= 16
    assert 2 <= pauses[3] <= 4


def test_a_word_to_a_process_that_is_gone_is_no_failure() -> None:
    it = Kept()
    it.kept.tell(signal.SIGTERM)
    it.kept.start()
    it.kept.tell(signal.SIGTERM)
    it.kept.tell(signal.SIGKILL, group=True)


def test_ends_are_waited_for_until_the_time_is_over_or_there_is_a_hurry() -> None:
    clock, hurry = StillClock(), Event()
    assert wait_for_ends([lambda: True], 10.0, clock=clock, hurry=hurry)
    asked = []

    def never() -> bool:
        asked.append(clock.advance(6.0))
        return False

    assert not wait_for_ends([never], 10.0, clock=clock, hurry=hurry)
    assert len(asked) == 2
    hurry.set()
    assert not wait_for_ends([never], 1000.0, clock=clock, hurry=hurry)
    assert len(asked) == 3
