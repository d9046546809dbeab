from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from esper.configs import EsperConfig
from esper.contracts.errors import ConfigError
from esper.hosting.hosting_config import HostingConfig
from esper.hosting.platform_config import PlatformConfig, platform_config
from esper.hosting.platform_plan import make_plan
from esper.services.urza.urza_config import UrzaConfig

EXAMPLE = Path(__file__).parents[3] / "configs" / "platform.yaml"
WHOLE: dict[str, Any] = {
    "database": {"host": "db", "username": "ada", "password": "p@ss"},
    "redis": {"host": "bus", "password": "word"},
    "storage": {"access_key": "a", "secret_key": "s", "bucket_name": "kernels"},
}


def read(folder: Path, **sections: Any) -> PlatformConfig:
    return platform_config(EsperConfig(name="test", **sections), folder)


def test_the_example_is_a_platform_with_everything_of_its_own(tmp_path: Path) -> None:
    found = platform_config(EsperConfig.from_yaml(EXAMPLE), tmp_path)
    assert found.unused == ()
    assert found.hosting == {
        "bus_port": 8450,
        "workers": 1,
        "forge_options": ("--build-seconds", "120", "--threads", "1"),
        "tezzeret_port": 8440,
        "urza_port": 8420,
        "nissa_port": 8430,
    }
    assert found.variables["ESPER_URZA_RATE_PER_SECOND"] == "200"
    HostingConfig(folder=tmp_path, **found.hosting)


def test_database_bus_and_store_of_others_are_used(tmp_path: Path) -> None:
    found = read(tmp_path, **WHOLE)
    assert found.hosting["bus"] == "redis://:word@bus:6379/0"
    urza = UrzaConfig.from_environment(found.variables, tmp_path)
    assert urza.database_url == "postgresql://ada:p%40ss@db:5432/urza_db?sslmode=prefer"
    assert urza.blobs == "s3://kernels"
    assert urza.s3 is not None
    assert (urza.s3.endpoint, urza.s3.region) == ("http://localhost:9000", "us-east-1")
    assert (urza.s3.access_key, urza.s3.secret_key) == ("a", "s")


def test_nothing_said_is_what_the_command_does_without_a_file(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert HostingConfig(folder=tmp_path, **found.hosting) == HostingConfig(folder=tmp_path)
    assert UrzaConfig.from_environment(found.variables, tmp_path) == UrzaConfig.default(tmp_path)


def test_a_forge_s_options_reach_its_command(tmp_path: Path) -> None:
    forge = {"replicas": 3, "config": {"memory_bytes": 2**30}}
    found = read(tmp_path, components={"tezzeret": forge, "oona": {"enabled": False}})
    ports = dict.fromkeys(("urza_port", "nissa_port", "tezzeret_port"), 0)
    plan = make_plan(
        HostingConfig(folder=tmp_path, **found.hosting, **ports), store_url="sqlite://"
    )
    (service,) = [service for service in plan.services if service.name == "tezzeret"]
    words = " ".join(service.command)
    assert "--workers 3" in words
    assert "--memory-mib 1024" in words


def test_services_that_are_off_do_not_run(tmp_path: Path) -> None:
    off = {"enabled": False}
    found = read(tmp_path, **WHOLE, components={"tezzeret": off, "oona": off})
    assert (found.hosting["workers"], found.hosting["bus"]) == (0, "in-process")


def test_the_run_store_is_that_of_every_program(tmp_path: Path) -> None:
    store = {"nissa": {"config": {"store": "postgresql://runs", "webhook": "https://w"}}}
    found = read(tmp_path, components=store)
    assert found.variables["ESPER_RUN_STORE"] == "postgresql://runs"
    assert "ESPER_NISSA_STORE" not in found.variables
    assert found.variables["ESPER_NISSA_WEBHOOK"] == "https://w"


def test_what_says_nothing_to_one_machine_is_named(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        training={"batch_size": 32},
        components={"tolaria": {"replicas": 2}, "urza": {"resources": {"cpu": 2}}},
    )
    assert found.unused == ("training", "components.tolaria", "components.urza.resources")


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ({"urza": {"enabled": False}}, "components.urza: a platform on one machine"),
        ({"nissa": {"replicas": 2}}, "components.nissa: a platform on one machine"),
        ({"urza": {"config": {"host": "0.0.0.0"}}}, "components.urza.config.host"),
        ({"urza": {"config": {"port": "many"}}}, "components.urza.config.port is 'many'"),
        ({"urza": {"config": {"roomy": 1}}}, "no setting 'roomy'"),
        ({"urza": {"config": {"rate_burst": [1]}}}, "components.urza.config.rate_burst"),
        ({"nissa": {"config": {"readings": 0}}}, "nissa.readings"),
        ({"tezzeret": {"config": {"thread": 1}}}, "Unknown key 'thread'. Did you mean 'threads'?"),
        ({"tezzeret": {"config": {"threads": 0}}}, "threads"),
        ({"oona": {"config": {"prot": 1}}}, "Unknown key 'prot'"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(
    tmp_path: Path, components: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, components=components)
    assert expected in str(refused.value)


def test_a_secret_is_not_in_the_text_of_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, components={"nissa": {"config": {"token": "short"}}})
    assert "'short'" not in str(refused.value)
