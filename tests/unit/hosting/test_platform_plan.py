from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from esper.contracts.errors import PlatformError
from esper.hosting.hosting_config import HostingConfig
from esper.hosting.platform_plan import Plan, make_plan, without_password

ANY_PORTS = {"urza_port": 0, "nissa_port": 0, "tezzeret_port": 0, "bus_port": 0}


def planned(folder: Path, **settings: object) -> Plan:
    config = HostingConfig(folder=folder, **{**ANY_PORTS, **settings})  # type: ignore[arg-type]  # settings of several kinds
    return make_plan(config, store_url="sqlite:////store/runs.db")


def names(plan: Plan) -> list[str]:
    return [service.name for service in plan.services]


def test_the_bus_comes_first_and_the_forge_last(tmp_path: Path) -> None:
    assert names(planned(tmp_path, bus="valkey")) == ["bus", "nissa", "urza", "tezzeret"]


def test_a_server_of_others_is_used_and_not_started(tmp_path: Path) -> None:
    plan = planned(tmp_path, bus="redis://:hunter2@10.0.0.1:6379/0")
    assert names(plan) == ["nissa", "urza", "tezzeret"]
    assert plan.bus_url == "redis://:hunter2@10.0.0.1:6379/0"
    assert "hunter2" not in plan.bus


def test_without_a_bus_services_are_not_given_one_that_the_environment_names(
    tmp_path: Path,
) -> None:
    plan = planned(tmp_path, bus="in-process")
    assert plan.bus_url is None
    assert "cannot be controlled" in plan.bus
    for service in plan.services:
        assert service.environment["ESPER_REDIS_URL"] is None
        assert service.environment["ESPER_REDIS_URL_FILE"] is None


def test_without_workers_there_is_no_forge(tmp_path: Path) -> None:
    assert names(planned(tmp_path, bus="in-process", workers=0)) == ["nissa", "urza"]


def test_secrets_stand_in_files_and_not_in_commands(tmp_path: Path) -> None:
    plan = planned(tmp_path, bus="redis://:hunter2@10.0.0.1:6379/0")
    for service in plan.services:
        assert "hunter2" not in " ".join([*service.command, service.address])
        file = Path(service.environment["ESPER_REDIS_URL_FILE"] or "")
        assert file.read_text() == plan.bus_url
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_free_ports_differ_and_are_what_services_are_told(tmp_path: Path) -> None:
    plan = planned(tmp_path, bus="valkey")
    ports = [service.port for service in plan.services]
    assert len(set(ports)) == 4
    for service in plan.services[1:]:
        assert service.command[-1] == str(service.port)
        assert service.address == f"http://127.0.0.1:{service.port}"


def test_a_port_that_is_taken_is_named_with_its_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PlatformError, match=rf"port {port}.*urza.*--urza-port"):
            planned(tmp_path, bus="in-process", urza_port=port)


def test_a_url_is_shown_without_its_password() -> None:
    assert without_password("redis://:a@b:c@host:1/0") == "redis://host:1/0"
    assert without_password("valkey://host:1") == "valkey://host:1"
