from __future__ import annotations

from esper.services.oona.recently_sent import RecentlySent
from support.buses import SEED
from support.clocks import StillClock


def test_batches_are_kept_for_some_seconds() -> None:
    clock = StillClock()
    recent = RecentlySent(clock)
    recent.add({SEED: [b"1"]})
    clock.advance(3.0)
    recent.add({SEED: [b"2"]})
    assert [batch[SEED] for batch in recent.all()] == [[b"1"], [b"2"]]
    clock.advance(2.0)
    assert [batch[SEED] for batch in recent.all()] == [[b"2"]]
    clock.advance(5.0)
    assert not recent.all()


def test_batches_are_kept_within_a_bound() -> None:
    recent = RecentlySent(StillClock())
    for number in range(200):
        recent.add({SEED: [bytes([number]) * 2**20]})
    assert len(recent.all()) == 64
    assert recent.all()[-1][SEED][0][0] == 199
