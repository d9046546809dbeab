"""What `esper up --config FILE` makes of an `EsperConfig`: settings of its own, and variables.

    database, storage, components.urza.config   ESPER_URZA_…   the library
    components.nissa.config                     ESPER_NISSA_…  the observer; `store`: every run store
    redis, components.oona                      the bus
    components.tezzeret                         number and options of the forge's workers
    logging                                     ESPER_LOG_LEVEL, ESPER_LOG_FORMAT

The variables reach every process that the platform starts, as if they had been set before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from esper.configs import ComponentConfig, EsperConfig
from esper.contracts.enums import ComponentName
from esper.contracts.errors import ConfigError
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.logging import FORMAT, LEVEL
from esper.utils.nearest import did_you_mean

_HOSTED: Final = (ComponentName.URZA, ComponentName.NISSA, ComponentName.TEZZERET)
_FORGE: Final = ("build_seconds", "memory_bytes", "threads", "compile_cache")
"""Settings of a forge that `esper tezzeret run` has options for."""


@dataclass(frozen=True, kw_only=True)
class PlatformConfig:
    """A platform on one machine, as a configuration file describes it."""

    hosting: Mapping[str, Any]
    """Settings of `HostingConfig`."""
    variables: Mapping[str, str]
    """Environment variables for this process and those that it starts; secrets are among them."""
    unused: tuple[str, ...]
    """Keys that say nothing to a platform on one machine."""


def platform_config(config: EsperConfig, folder: Path) -> PlatformConfig:
    """Return what a configuration means for a platform whose data is in `folder`.

    Raises:
        ConfigError: A service has no such setting, or a wrong value, or cannot run like this.
    """
    asked = {name: config.components.get(name, ComponentConfig()) for name in ComponentName}
    for name in (ComponentName.URZA, ComponentName.NISSA):
        if not asked[name].enabled or asked[name].replicas != 1:
            raise ConfigError(
                f"components.{name}: a platform on one machine has exactly one; leave `enabled` "
                "and `replicas` out"
            )
    hosting = _bus(config, asked[ComponentName.OONA]) | _forge(asked[ComponentName.TEZZERET])
    variables = {
        LEVEL: config.logging.level,
        FORMAT: config.logging.format,
        **_stores(config),
    }
    for name in (ComponentName.URZA, ComponentName.NISSA):
        settings = _texts(name, asked[name].config)
        if "port" in settings:
            hosting[f"{name}_port"] = _whole(name, "port", settings.pop("port"))
        if "host" in settings:
            raise ConfigError(f"components.{name}.config.host: a platform is for its machine alone")
        if name is ComponentName.NISSA and "store" in settings:
            variables["ESPER_RUN_STORE"] = settings.pop("store")
        prefix = f"ESPER_{name.upper()}_"
        variables |= {f"{prefix}{key.upper()}": text for key, text in settings.items()}
    # Looked at here, so that a mistake is told at once and not by a service that does not start.
    UrzaConfig.from_environment(variables, folder)
    NissaConfig.from_environment(variables)
    return PlatformConfig(hosting=hosting, variables=variables, unused=tuple(_unused(config)))


def _stores(config: EsperConfig) -> dict[str, str]:
    found = {}
    if config.database is not None:
        found["ESPER_URZA_DATABASE_URL"] = config.database.url
    if config.storage is not None:
        found |= {
            "ESPER_URZA_BLOBS": f"s3://{config.storage.bucket_name}",
            "ESPER_URZA_S3_ENDPOINT": config.storage.endpoint_url,
            "ESPER_URZA_S3_REGION": config.storage.region,
            "ESPER_URZA_S3_ACCESS_KEY": config.storage.access_key,
            "ESPER_URZA_S3_SECRET_KEY": config.storage.secret_key,
        }
    return found


def _bus(config: EsperConfig, asked: ComponentConfig) -> dict[str, Any]:
    _known("oona", asked.config, ("port",))
    if not asked.enabled:
        return {"bus": "in-process"}
    if config.redis is not None:
        return {"bus": config.redis.url}
    if "port" in asked.config:
        return {"bus_port": _whole("oona", "port", asked.config["port"])}
    return {}


def _forge(asked: ComponentConfig) -> dict[str, Any]:
    _known("tezzeret", asked.config, ("port", *_FORGE))
    own = {name: value for name, value in asked.config.items() if name != "port"}
    try:
        TezzeretConfig(**own)  # type: ignore[arg-type]  # that they are right is what is tried
    except TypeError as error:
        raise ConfigError(f"components.tezzeret.config: {error}") from None
    if "memory_bytes" in own:
        own["memory_mib"] = int(str(own.pop("memory_bytes"))) // 2**20
    options = tuple(
        word for name, value in own.items() for word in (f"--{name.replace('_', '-')}", str(value))
    )
    found: dict[str, Any] = {"workers": asked.replicas if asked.enabled else 0}
    if options:
        found["forge_options"] = options
    if "port" in asked.config:
        found["tezzeret_port"] = _whole("tezzeret", "port", asked.config["port"])
    return found


def _unused(config: EsperConfig) -> Iterable[str]:
    if config.training.model_fields_set:
        yield "training"
    for name, component in config.components.items():
        if component.resources:
            yield f"components.{name}.resources"
        if name not in (*_HOSTED, ComponentName.OONA):
            yield f"components.{name}"


def _texts(name: str, settings: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return settings as environment variables have them."""
    for key, value in settings.items():
        if not isinstance(value, str | int | float):
            raise ConfigError(
                f"components.{name}.config.{key}: give a text, a number or true/false"
            )
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in settings.items()
    }


def _whole(name: str, key: str, value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ConfigError(f"components.{name}.config.{key} is {value!r}; give a number") from None


def _known(name: str, settings: Mapping[str, JsonValue], known: tuple[str, ...]) -> None:
    for key in settings:
        if key not in known:
            raise ConfigError(
                f"components.{name}.config: Unknown key {key!r}. {did_you_mean(key, known)}"
            )
