from __future__ import annotations

from datetime import UTC, datetime

import pytest

from esper.hosting.discovery import Platform, ServiceRecord
from esper.hosting.platform import current
from esper.hosting.service import ServiceState
from esper.web.probe_server import ProbeServer

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def platform(*services: ServiceRecord, bus_url: str | None = None) -> Platform:
    return Platform(
        pid=1,
        started_at=LONG_AGO,
        folder="",
        bus_url=bus_url,
        store_url="",
        urza_url="",
        nissa_url="",
        token_file="",
        services=services,
    )


def record(name: str, address: str, state: ServiceState = ServiceState.READY) -> ServiceRecord:
    return ServiceRecord(name=name, state=state, address=address, pid=1, since=LONG_AGO)


@pytest.mark.parametrize("ready", [True, False])
def test_a_service_is_asked_itself(ready: bool) -> None:
    with ProbeServer(0, is_ready=lambda: ready, metrics=str) as server:
        (found,) = current(platform(record("urza", server.url)))
    assert found.state is (ServiceState.READY if ready else ServiceState.UNREADY)
    assert (found.since == LONG_AGO) == ready


def test_one_that_is_not_ready_anyway_is_not_asked() -> None:
    waiting = record("urza", "http://nowhere.invalid", ServiceState.WAITING)
    assert current(platform(waiting)) == (waiting,)


def test_a_bus_that_the_platform_uses_and_does_not_run_is_shown_without_its_password(
    valkey_place: str,
) -> None:
    url = valkey_place.replace("redis://", "redis://:secret@")
    (found,) = current(platform(bus_url=url))
    assert (found.name, found.pid) == ("bus", None)
    assert found.address == valkey_place
    assert found.state is ServiceState.UNREADY, "that server has no such password"
    (found,) = current(platform(bus_url=valkey_place))
    assert found.state is ServiceState.READY
