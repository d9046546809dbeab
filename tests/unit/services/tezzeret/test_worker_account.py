from __future__ import annotations

from datetime import UTC, datetime

import pytest

from esper.contracts.enums import TopicNames
from esper.contracts.errors import LibraryUnavailableError
from esper.contracts.library import Lease
from esper.contracts.platform_events import BuildFinished, BuildStarted
from esper.services.tezzeret.worker import Account
from support.clocks import StillClock
from support.forge import blueprint_of, perceptron
from support.publishers import KeepingPublisher

KERNEL = "ab" * 32


@pytest.fixture
def lease() -> Lease:
    return Lease(
        blueprint=blueprint_of(perceptron()),
        worker="forge-0",
        token=1,
        attempt=1,
        expires_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_a_build_is_told_of_when_it_begins_and_when_it_ends(lease: Lease) -> None:
    clock, publisher = StillClock(), KeepingPublisher()
    account = Account("forge-0", clock)
    account.publisher = publisher
    with account.build(lease) as ending:
        assert account.details()["building"] == lease.blueprint.name
        assert isinstance(publisher.sent[0].body, BuildStarted)
        clock.advance(2.5)
        ending.kernel_id, ending.reason = KERNEL, ""
    finished = publisher.sent[-1].body
    assert isinstance(finished, BuildFinished)
    assert (finished.worker, finished.seconds, finished.kernel_id) == ("forge-0", 2.5, KERNEL)
    assert finished.blueprint_id == lease.blueprint.blueprint_id
    assert {one.topic for one in publisher.sent} == {TopicNames.EVENTS_COMPILATION}
    assert account.details() == {"building": "", "built": 1, "failed": 0}


def test_a_build_without_a_kernel_says_why(lease: Lease) -> None:
    account = Account("forge-0", StillClock())
    account.publisher = publisher = KeepingPublisher()
    with account.build(lease) as ending:
        ending.reason = "invalid: claims"
    finished = publisher.sent[-1].body
    assert isinstance(finished, BuildFinished)
    assert (finished.kernel_id, finished.reason) == (None, "invalid: claims")
    assert account.details()["failed"] == 1


def test_a_build_whose_library_went_away_is_told_of_too(lease: Lease) -> None:
    account = Account("forge-0", StillClock())
    account.publisher = publisher = KeepingPublisher()
    with pytest.raises(LibraryUnavailableError), account.build(lease):
        raise LibraryUnavailableError("away")
    finished = publisher.sent[-1].body
    assert isinstance(finished, BuildFinished)
    assert "could not be reached" in finished.reason


def test_with_nobody_to_tell_builds_are_counted_all_the_same(lease: Lease) -> None:
    account = Account("forge-0", StillClock())
    with account.build(lease) as ending:
        ending.kernel_id = KERNEL
    assert account.details()["built"] == 1
    assert str(ending) == f"kernel {KERNEL}"
