from __future__ import annotations

from esper.services.oona.redis_bus import RecentlySent
from support.buses import SEED
from support.clocks import StillClock


def kept(recent: RecentlySent) -> list[bytes]:
    return [batch[SEED][0] for batch in recent.all()]


def test_batches_of_the_last_seconds_are_kept() -> None:
    clock = StillClock()
    recent = RecentlySent(clock)
    for entry in (b"1", b"2", b"3"):
        recent.add({SEED: [entry]})
        clock.advance(3.0)
    assert kept(recent) == [b"2", b"3"]


def test_nothing_is_forgotten_while_nothing_is_published() -> None:
    clock = StillClock()
    recent = RecentlySent(clock)
    recent.add({SEED: [b"1"]})
    clock.advance(1000.0)
    assert kept(recent) == [b"1"]
    recent.renew()
    clock.advance(3.0)
    recent.add({SEED: [b"2"]})
    assert kept(recent) == [b"1", b"2"]


def test_batches_are_kept_within_a_bound() -> None:
    recent = RecentlySent(StillClock())
    for number in range(200):
        recent.add({SEED: [bytes([number]) * 2**20]})
    assert len(recent.all()) == 64
    assert recent.all()[-1][SEED][0][0] == 199
