"""What lies in `deploy/` fits the program: commands, settings, secrets, names.

No container engine runs here, so the Compose file is held to checks of our own, which see what a
change of ours would break; that an engine takes it they do not show. `systemd-analyze verify` reads
the units where it is there.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from docs import pages
from esper.cli.app import app
from esper.hosting.bus_access import bus_url
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.urza.client.client_config import ClientConfig
from esper.services.urza.urza_config import UrzaConfig

DEPLOY = pages.ROOT / "deploy"
UNITS = sorted(
    unit for kind in ("system", "user") for unit in (DEPLOY / "systemd" / kind).iterdir()
)
SYSTEM = DEPLOY / "systemd" / "system"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "esper"}
LONG_RUNNING = {name: s for name, s in SERVICES.items() if s.get("restart") == "unless-stopped"}


def parse(words: list[str]) -> None:
    """Parse a command of `esper` without carrying it out; a wrong one raises."""
    command: Any = typer.main.get_command(app)
    name = "esper"
    while True:
        context = command.make_context(name, list(words))
        if not hasattr(command, "resolve_command"):
            return
        left = [*context._protected_args, *context.args]
        name, command, words = command.resolve_command(context, left)


def without_shell(words: list[str]) -> list[list[str]]:
    """The `esper` commands in a service's command; a shell's script may hold one."""
    text = " ".join(words)
    if "esper " not in text:
        return [words]
    return [match.split() for match in re.findall(r"esper ((?:[\w./-]+ )+[\w./-]+)", text)[:1]]


def test_the_files_were_found() -> None:
    assert len(UNITS) == 5
    assert {"urza", "tezzeret", "nissa"} <= set(OURS)


@pytest.mark.parametrize("name", [n for n in OURS if "command" in OURS[n]])
def test_a_container_s_command_is_one_that_esper_has(name: str) -> None:
    for words in without_shell(OURS[name]["command"]):
        parse(words)


@pytest.mark.parametrize("unit", UNITS, ids=pages.shown)
def test_a_unit_s_command_is_one_that_esper_has(unit: Path) -> None:
    commands = re.findall(r"^ExecStart=/opt/esper/bin/esper (.*)$", unit.read_text(), re.MULTILINE)
    assert len(commands) == (0 if unit.suffix == ".target" else 1)
    for command in commands:
        parse(command.split())


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_refers_to_what_there_is(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    volumes = {volume.split(":")[0] for volume in service.get("volumes", ())}
    assert volumes <= set(COMPOSE["volumes"])
    assert {config["source"] for config in service.get("configs", ())} <= set(COMPOSE["configs"])
    for other, condition in service.get("depends_on", {}).items():
        wanted = "service_healthy" if other in LONG_RUNNING else "service_completed_successfully"
        assert condition == {"condition": wanted}
    for secret in re.findall(r"/run/secrets/([\w.-]+)", str(service)):
        assert secret in service["secrets"]


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_open_to_other_machines(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_runs_on_says_how_it_is(name: str) -> None:
    assert LONG_RUNNING[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_every_name_at_the_top_is_one_that_compose_knows() -> None:
    extensions = {name for name in COMPOSE if name.startswith("x-")}
    assert set(COMPOSE) - extensions == {"name", "services", "volumes", "configs", "secrets"}
    known = {
        "build", "cap_add", "cap_drop", "command", "configs", "depends_on", "entrypoint",
        "environment", "healthcheck", "image", "ports", "read_only", "restart", "secrets",
        "security_opt", "stop_grace_period", "tmpfs", "user", "volumes",
    }  # fmt: skip
    for service in SERVICES.values():
        assert set(service) <= known


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make-secrets.sh` makes."""
    place = tmp_path_factory.mktemp("deploy")
    shutil.copy(DEPLOY / "make-secrets.sh", place)
    for _ in range(2):
        subprocess.run(["sh", str(place / "make-secrets.sh")], check=True)
    return place / "secrets"


def test_the_secrets_that_compose_names_are_made_and_kept_from_others(secrets: Path) -> None:
    named = {f"secrets/{name}": name for name in COMPOSE["secrets"]}
    assert {entry["file"]: name for name, entry in COMPOSE["secrets"].items()} == named
    assert {path.name for path in secrets.iterdir()} == set(COMPOSE["secrets"])
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    password = (secrets / "bus-password").read_text()
    assert len(password) == 48
    assert password in (secrets / "bus.conf").read_text()


def variables(name: str, secrets: Path) -> Mapping[str, str]:
    return {
        key: value.replace("/run/secrets", str(secrets)).replace("/tokens/forge.token", __file__)
        for key, value in SERVICES[name]["environment"].items()
    }


def test_the_settings_of_containers_are_settings(secrets: Path, tmp_path: Path) -> None:
    urza = UrzaConfig.from_environment(variables("urza", secrets), tmp_path)
    password = (secrets / "postgres-password").read_text()
    assert urza.database_url == f"postgresql://esper:{password}@postgres:5432/urza"
    assert urza.s3 is not None
    assert urza.s3.secret_key == (secrets / "s3-secret-key").read_text()
    assert urza.auth == "token"
    for name in ("urza-migrate", "forge-token"):
        assert UrzaConfig.from_environment(variables(name, secrets), tmp_path) == urza
    nissa = NissaConfig.from_environment(variables("nissa", secrets))
    assert nissa.store == f"postgresql://esper:{password}@postgres:5432/nissa"
    for name in ("urza", "tezzeret", "nissa"):
        bus = bus_url(variables(name, secrets))
        assert bus == f"redis://:{(secrets / 'bus-password').read_text()}@bus:6379/0"


def test_the_forge_s_container_reaches_the_library(secrets: Path) -> None:
    environment = {**variables("tezzeret", secrets), "ESPER_URZA_TOKEN_FILE": ""}
    config = ClientConfig.from_environment(environment, token="a-token")
    assert config.url == "http://urza:8420"


def _set_in(file: Path) -> dict[str, str]:
    lines = [line.removeprefix("# ") for line in file.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if re.match(r"ESPER_[A-Z0-9_]+=", line))


def test_the_settings_of_units_are_settings(tmp_path: Path) -> None:
    def read(name: str) -> dict[str, str]:
        found = _set_in(DEPLOY / "systemd" / "etc" / f"{name}.env")
        (tmp_path / "secret").write_text("postgresql://esper@127.0.0.1/esper")
        return {k: str(tmp_path / "secret") if k.endswith("_FILE") else v for k, v in found.items()}

    assert UrzaConfig.from_environment(read("urza"), tmp_path).port == 8420
    assert NissaConfig.from_environment(read("nissa")).port == 8430
    assert ClientConfig.from_environment(read("tezzeret")).token is not None
    assert bus_url(read("esper")) is not None


@pytest.mark.parametrize("unit", sorted(SYSTEM.glob("*.service")), ids=pages.shown)
def test_a_unit_reads_the_files_that_are_there(unit: Path) -> None:
    for name in re.findall(r"^EnvironmentFile=/etc/esper/(.*)$", unit.read_text(), re.MULTILINE):
        assert (DEPLOY / "systemd" / "etc" / name).is_file()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("kind", ["system", "user"])
def test_systemd_reads_the_units_without_a_word(kind: str, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("esper")
    units = []
    for unit in sorted((DEPLOY / "systemd" / kind).iterdir()):
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace("/opt/esper/bin/esper", str(program)))
        units.append(str(copy))
    done = subprocess.run(
        ["systemd-analyze", f"--{kind}", "--man=no", "verify", *units],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
