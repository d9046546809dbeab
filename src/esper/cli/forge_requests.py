"""What a user asked of a forge, one frozen class for each command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from esper.cli.requests import GeometryRequest


@dataclass(frozen=True, kw_only=True)
class TargetsRequest:
    """Where kernels are to be measured."""

    device: str
    dtype: str
    batches: tuple[int, ...]
    compile: bool


@dataclass(frozen=True, kw_only=True)
class LimitsRequest:
    """What one build may take; None is the forge's default."""

    seconds: float | None
    memory_mib: int | None
    threads: int | None
    compile_cache: Path | None


@dataclass(frozen=True, kw_only=True)
class TezzeretRunRequest:
    """`esper tezzeret run`."""

    urza: str | None
    """Address of the library; None is the environment's."""
    workers: int
    name: str | None
    drain_seconds: float | None
    probe_port: int | None
    """Where it says how it is; None says nothing."""
    targets: TargetsRequest
    limits: LimitsRequest


@dataclass(frozen=True, kw_only=True)
class TezzeretProveRequest:
    """`esper tezzeret prove`."""

    source: str
    """A file, or `family/size`."""
    mode: str | None
    geometry: GeometryRequest
    seed: int
    output: Path | None
    """File for the kernel; None keeps none."""
    as_json: bool
    targets: TargetsRequest
    limits: LimitsRequest
