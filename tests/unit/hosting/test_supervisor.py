from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from esper.contracts.errors import PlatformError
from esper.hosting.discovery import ServiceRecord
from esper.hosting.hosting_config import HostingConfig
from esper.hosting.service import ServiceState
from esper.hosting.supervisor import Supervisor
from support.hosted import PATIENCE, stand_in, until

pytestmark = pytest.mark.slow


class Running:
    """Two services under a supervisor that runs on a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[ServiceRecord] = []
        self.stop, self.hurry, self.ready = Event(), Event(), Event()
        config = HostingConfig(
            folder=folder, look_seconds=0.05, backoff_seconds=0.05, backoff_most_seconds=0.1
        )
        services = [stand_in(folder, name) for name in ("first", "second")]
        supervisor = Supervisor(services, config, changed=self._keep)
        self.thread = Thread(
            target=supervisor.run, args=(self.stop, self.hurry), kwargs={"ready": self.ready.set}
        )

    def _keep(self, records: object) -> None:
        assert isinstance(records, list)
        self.records = records

    def states(self) -> list[ServiceState]:
        return [record.state for record in self.records]

    def told(self, name: str) -> list[tuple[str, float]]:
        lines = (self.folder / name / "told").read_text().splitlines()
        return [(line.split()[0], float(line.split()[1])) for line in lines]


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    found = Running(folder)
    found.thread.start()
    try:
        assert found.ready.wait(PATIENCE)
        yield found
    finally:
        found.stop.set()
        found.thread.join(PATIENCE)
        assert not found.thread.is_alive()


def test_services_run_until_told_and_end_in_the_opposite_order(tmp_path: Path) -> None:
    with running(tmp_path) as found:
        assert found.states() == [ServiceState.READY, ServiceState.READY]
    assert found.states() == [ServiceState.STOPPED, ServiceState.STOPPED]
    (first,) = [at for word, at in found.told("first") if word == "ended"]
    (second,) = [at for word, at in found.told("second") if word == "ended"]
    assert second < first


def test_one_that_is_killed_comes_back_and_the_other_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as found:
        first, second = (record.pid for record in found.records)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: found.records[0].restarts == 1)
        until(lambda: found.states() == [ServiceState.READY, ServiceState.READY])
        assert found.records[0].pid != first
        assert found.records[1].pid == second


def test_in_a_hurry_nobody_is_waited_for(tmp_path: Path) -> None:
    with running(tmp_path) as found:
        (tmp_path / "second" / "stubborn").touch()
        found.hurry.set()
    assert [word for word, _ in found.told("second")] == ["began"]
    assert found.states() == [ServiceState.STOPPED, ServiceState.STOPPED]


def test_one_that_does_not_end_in_its_time_is_killed(tmp_path: Path) -> None:
    stop = Event()
    stubborn = replace(stand_in(tmp_path, "second"), stop_seconds=0.2)
    (tmp_path / "second" / "stubborn").touch()
    states: list[ServiceState] = []
    supervisor = Supervisor(
        [stubborn],
        HostingConfig(folder=tmp_path, look_seconds=0.05),
        changed=lambda records: states.append(records[0].state),
    )
    supervisor.run(stop, Event(), ready=stop.set)
    assert states[-2:] == [ServiceState.STOPPING, ServiceState.STOPPED]


def test_one_that_does_not_come_up_is_named_with_the_end_of_its_log_and_the_others_end(
    tmp_path: Path,
) -> None:
    told: list[list[ServiceState]] = []
    config = HostingConfig(folder=tmp_path, backoff_seconds=0.05, backoff_most_seconds=0.1)
    services = [stand_in(tmp_path, name) for name in ("first", "second")]
    (tmp_path / "second" / "broken").touch()
    supervisor = Supervisor(
        services, config, changed=lambda records: told.append([r.state for r in records])
    )
    with pytest.raises(PlatformError, match=r"second does not come up(?s:.*)it is broken"):
        supervisor.run(Event(), Event(), ready=lambda: pytest.fail("it was not ready"))
    assert told[-1] == [ServiceState.STOPPED, ServiceState.STOPPED]
