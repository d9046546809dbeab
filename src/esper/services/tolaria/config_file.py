"""A `TolariaConfig` from YAML and ``key=value`` overrides, and back to YAML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from esper.contracts.errors import ConfigError
from esper.services.tolaria.training_config import TolariaConfig
from esper.utils.nearest import did_you_mean
from esper.utils.yaml_file import parse_yaml_value

_ADAPTER = TypeAdapter(TolariaConfig)


def config_from_mapping(values: Mapping[str, Any]) -> TolariaConfig:
    """Build a config from nested mappings, every key and type checked.

    Raises:
        ConfigError: a key is unknown (the message names the nearest one), missing, or its value
            is of the wrong type or out of range.
    """
    check_keys(values, TolariaConfig)
    try:
        return _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        raise ConfigError("; ".join(_spell(e) for e in error.errors())) from error


def config_to_mapping(config: TolariaConfig) -> dict[str, Any]:
    """The config as nested plain values, as :func:`config_from_mapping` takes them."""
    mapping: dict[str, Any] = _ADAPTER.dump_python(config, mode="json")
    return mapping


def write_yaml(config: TolariaConfig) -> str:
    """The config as YAML text that `read_yaml` reads."""
    return yaml.safe_dump(config_to_mapping(config), sort_keys=False, allow_unicode=True)


def with_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of ``values`` with ``key=value`` settings laid over it.

    Args:
        values: nested mappings.
        overrides: for example ``"optimizer.lr=1e-3"``; the value is read as YAML, so that
            ``null``, ``true``, numbers and ``[16, 16]`` mean what they look like.

    Raises:
        ConfigError: an override has no ``=``, an empty key, or reaches into a plain value.
    """
    result: dict[str, Any] = _copy(values)
    for override in overrides:
        path, equals, text = override.partition("=")
        names = path.strip().split(".")
        if not equals or not all(names):
            raise ConfigError(f"--set {override!r}: expected key=value, like optimizer.lr=1e-3")
        place = result
        for name in names[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {override!r}: {name!r} is a value, it holds no settings")
        place[names[-1]] = parse_yaml_value(text, origin=f"--set {override!r}: the value")
    return result


def check_keys(values: Mapping[str, Any], kind: type, prefix: str = "") -> None:
    """Refuse keys that the dataclass ``kind`` does not have.

    Raises:
        ConfigError: naming the key in full, the nearest known one, and all known ones.
    """
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"there is no setting {prefix}{key}. {did_you_mean(str(key), known)}")
        if is_dataclass(hints[key]) and isinstance(value, Mapping):
            check_keys(value, hints[key], f"{prefix}{key}.")


def _spell(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"{key} is missing: give it a value"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])  # raised by a `__post_init__`, which names the key
    return f"{key} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _copy(value: Any) -> Any:
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, Mapping) else value
