from __future__ import annotations

import json
from pathlib import Path

import pytest

from esper.cli.exit_codes import ExitCode
from esper.cli.status import status
from esper.contracts.base import utc_now
from esper.hosting.discovery import Platform, ServiceRecord, claimed, write
from esper.hosting.service import ServiceState
from esper.web.probe_server import ProbeServer


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    return tmp_path


def platform(*services: ServiceRecord) -> Platform:
    return Platform(
        pid=7,
        started_at=utc_now(),
        folder="/data",
        bus_url=None,
        store_url="postgresql://esper:hunter2@127.0.0.1/runs",
        urza_url="",
        nissa_url="",
        token_file="",
        services=services,
    )


def record(name: str, address: str, state: ServiceState = ServiceState.READY) -> ServiceRecord:
    return ServiceRecord(name=name, state=state, address=address, pid=11, since=utc_now())


def test_without_a_platform_it_says_how_to_start_one(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status() == ExitCode.FAILED
    said = capsys.readouterr()
    assert "esper up" in said.err
    assert said.out == ""


@pytest.mark.parametrize("ready", [True, False])
def test_the_exit_status_says_whether_all_are_ready(
    home: Path, capsys: pytest.CaptureFixture[str], ready: bool
) -> None:
    with ProbeServer(0, is_ready=lambda: ready, metrics=str) as server, claimed(home):
        write(home, platform(record("urza", server.url)))
        code = status()
    said = capsys.readouterr().out
    assert code == (ExitCode.OK if ready else ExitCode.FAILED)
    assert server.url in said
    assert ("unready" in said) != ready


def test_programs_are_told_the_same_without_passwords(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with claimed(home):
        write(home, platform(record("urza", "http://a", ServiceState.WAITING)))
        assert status(as_json=True) == ExitCode.FAILED
    said = capsys.readouterr().out
    assert json.loads(said)["services"][0]["state"] == "waiting"
    assert "hunter2" not in said
