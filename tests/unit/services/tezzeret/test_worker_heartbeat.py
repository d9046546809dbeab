from __future__ import annotations

from threading import Event

from esper.contracts.errors import LibraryUnavailableError
from esper.contracts.library import Lease
from esper.services.tezzeret.worker import Heartbeat
from support.forge import MemoryQueue, blueprint_of, perceptron

PATIENCE = 30.0


class Beating(MemoryQueue):
    """Says when it was asked to renew so many times."""

    def __init__(self, beats: int) -> None:
        super().__init__()
        self.left, self.enough = beats, Event()

    def renew(self, lease: Lease, *, seconds: float) -> Lease:
        self.left -= 1
        if self.left <= 0:
            self.enough.set()
        return super().renew(lease, seconds=seconds)


def leased(queue: MemoryQueue, seconds: float) -> Lease:
    queue.submit(blueprint_of(perceptron()))
    lease = queue.lease("w", seconds=seconds)
    assert lease is not None
    return lease


def test_a_lease_is_renewed_for_as_long_as_the_block_lasts() -> None:
    queue = Beating(3)
    lease = leased(queue, 0.03)
    with Heartbeat(queue, lease, seconds=0.03) as heartbeat:
        assert queue.enough.wait(PATIENCE)
    assert heartbeat.lease.expires_at > lease.expires_at
    beats = queue.calls.count("renew")
    assert not heartbeat.lost()
    assert queue.calls.count("renew") == beats


def test_a_library_that_is_away_is_asked_again() -> None:
    queue = Beating(3)
    lease = leased(queue, 0.03)
    queue.trouble("renew", [LibraryUnavailableError("away"), LibraryUnavailableError("away")])
    with Heartbeat(queue, lease, seconds=0.03) as heartbeat:
        assert queue.enough.wait(PATIENCE)
    assert not heartbeat.lost()


def test_a_lost_lease_is_known_and_not_asked_for_again() -> None:
    queue = MemoryQueue()
    lease = leased(queue, 0.0)
    assert queue.lease("another", seconds=60.0) is not None
    with Heartbeat(queue, lease, seconds=0.03) as heartbeat:
        heartbeat.pause(PATIENCE)
        assert heartbeat.lost()
    assert queue.calls.count("renew") == 1
