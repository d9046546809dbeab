"""Status: how the services of a running platform are, asked of themselves and not of its record."""

from __future__ import annotations

from esper.contracts.base import utc_now
from esper.hosting.discovery import Platform, ServiceRecord
from esper.hosting.platform_plan import without_password
from esper.hosting.probes import http_question, redis_question
from esper.hosting.service_lifecycle import ServiceState


def current(platform: Platform) -> tuple[ServiceRecord, ...]:
    """Ask every service; one that is said to be ready and does not answer is not.

    A bus that the platform uses and does not run comes first, without a process.
    """
    records = list(platform.services)
    names = {record.name for record in records}
    if platform.bus_url is not None and "bus" not in names:
        records.insert(
            0,
            ServiceRecord(
                name="bus",
                state=ServiceState.READY,
                address=without_password(platform.bus_url),
                since=platform.started_at,
            ),
        )
    return tuple(_asked(platform, record) for record in records)


def _asked(platform: Platform, record: ServiceRecord) -> ServiceRecord:
    if record.state is not ServiceState.READY:
        return record
    if record.name == "bus":
        ask = redis_question(platform.bus_url or record.address)
    else:
        ask = http_question(record.address, "/readyz")
    if ask():
        return record
    return record.model_copy(update={"state": ServiceState.UNREADY, "since": utc_now()})
