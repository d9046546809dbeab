"""A forge's settings from what was asked."""

from __future__ import annotations

from typing import Any

from esper.cli.forge_requests import LimitsRequest, TargetsRequest
from esper.contracts.library import Target
from esper.services.tezzeret.forge_config import TezzeretConfig

_MEBIBYTE = 2**20


def settings(targets: TargetsRequest, limits: LimitsRequest, **more: Any) -> TezzeretConfig:
    """Return the configuration; what is None is left at its default.

    Raises:
        ConfigError: A value is out of range.
    """
    asked = {
        "build_seconds": limits.seconds,
        "memory_bytes": None if limits.memory_mib is None else limits.memory_mib * _MEBIBYTE,
        "threads": limits.threads,
        "compile_cache": limits.compile_cache,
        **more,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    return TezzeretConfig(targets=_targets(targets), **given)


def _targets(asked: TargetsRequest) -> tuple[Target, ...]:
    """One eager target for each batch size, and a compiled one for the largest."""
    found = [
        Target(device=asked.device, dtype=asked.dtype, batch_size=batch)
        for batch in sorted(set(asked.batches))
    ]
    if asked.compile:
        found.append(found[-1].model_copy(update={"compiled": True}))
    return tuple(found)
