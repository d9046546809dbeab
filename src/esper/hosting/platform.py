"""host: runs a platform on this machine until it is told to stop; current: how its services are.

They are asked themselves, and not the platform's record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from esper.contracts.base import utc_now
from esper.contracts.errors import PlatformError
from esper.hosting.discovery import Platform, ServiceRecord, claimed, write
from esper.hosting.hosting_config import HostingConfig
from esper.hosting.platform_plan import Plan, make_plan, trainer_token, without_password
from esper.hosting.service import ServiceState, http_question, redis_question
from esper.hosting.supervisor import Supervisor
from esper.services.nissa.nissa_config import default_url
from esper.utils.logging import get_logger
from esper.utils.stop import Stop

_log = get_logger("platform")


def host(
    config: HostingConfig,
    home: Path,
    stop: Stop,
    hurry: Stop,
    *,
    issue_tokens: Callable[[Path], None],
    planned: Callable[[Plan], None],
    ready: Callable[[Platform], None],
) -> None:
    """Run a platform, and let trainers of this user find it.

    Args:
        config: What to run.
        home: The user's folder for Esper, where `discovery.find` looks.
        stop: When to end it in order.
        hurry: When to kill what is left of it.
        issue_tokens: Puts the forge's and a trainer's token for the library where `plan.py` says,
            in the platform's folder that it is given.
        planned: Told what is about to be started.
        ready: Told when all services are ready for the first time.

    Raises:
        PlatformError: One runs already, a port is taken, or a service does not come up.
        LibraryError: No tokens could be issued.
    """
    with claimed(home):
        store_url = default_url({**os.environ, "ESPER_HOME": str(config.folder)})
        plan = make_plan(config, store_url=store_url)
        issue_tokens(config.folder)
        begun = Platform(
            pid=os.getpid(),
            started_at=utc_now(),
            folder=str(config.folder.absolute()),
            bus_url=plan.bus_url,
            store_url=store_url,
            urza_url=plan.urza_url,
            nissa_url=plan.nissa_url,
            token_file=str(trainer_token(config.folder).absolute()),
            services=(),
        )
        known = [begun]

        def changed(services: Sequence[ServiceRecord]) -> None:
            known[:] = [begun.model_copy(update={"services": tuple(services)})]
            try:
                write(home, known[0])
            except PlatformError as error:
                # A full disk is no reason to take the services down.
                _log.error("not recorded", why=str(error))

        planned(plan)
        supervisor = Supervisor(plan.services, config, changed=changed)
        supervisor.run(stop, hurry, ready=lambda: ready(known[0]))


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
