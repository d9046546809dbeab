"""Settings of the kernel cache and of its Redis tier."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from esper.contracts.errors import ConfigError
from esper.execution.circuit_breaker import BreakerConfig
from esper.utils.ranges import AT_LEAST_0, POSITIVE, check_numbers


@dataclass(frozen=True, kw_only=True)
class RedisTierConfig:
    """How kernels are kept in Redis or Valkey. Where the server is, `RedisConfig` says."""

    timeout_seconds: float = 0.25
    """Longest silence, while a connection opens and between two pieces of an answer; then the tier
    counts as having nothing."""
    answer_seconds: float = 5.0
    """Longest time for a whole answer, however lively it arrives."""
    lifetime_seconds: int = 7 * 24 * 3600
    """How long the server keeps a kernel after it was written."""
    max_bytes: int = 64 * 2**20
    """Largest kernel file that is written or read there."""
    prefix: str = "esper:kernel:"
    """What the keys begin with; the kernel's id follows."""
    breaker: BreakerConfig = field(
        default_factory=lambda: BreakerConfig(
            failures=3, window_seconds=30.0, cooldown_seconds=10.0
        )
    )
    """When the tier stops asking a server that does not answer, and for how long."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        numbers = ("timeout_seconds", "answer_seconds", "lifetime_seconds", "max_bytes")
        check_numbers(self, "RedisTierConfig.", **dict.fromkeys(numbers, POSITIVE))


@dataclass(frozen=True, kw_only=True)
class KernelCacheConfig:
    """What a process keeps of kernels, and whose kernels it takes."""

    max_bytes: int = 128 * 2**20
    """Bound on the weights held in memory."""
    negative_seconds: float = 5.0
    """How long a kernel that the library does not have is not asked for again; 0 asks each time."""
    redis: RedisTierConfig = field(default_factory=RedisTierConfig)
    """The Redis tier, for a cache that is given a server."""
    trusted_keys: tuple[Path, ...] = ()
    """PEM files of the public keys that are trusted; none trusts every kernel."""
    require_signatures: bool = False
    """Whether a kernel that no trusted key signed is refused."""

    def __post_init__(self) -> None:
        """Refuse values out of range, and a policy that asks for signatures and trusts nobody's."""
        check_numbers(self, "KernelCacheConfig.", max_bytes=AT_LEAST_0, negative_seconds=AT_LEAST_0)
        if self.require_signatures and not self.trusted_keys:
            raise ConfigError(
                "KernelCacheConfig.require_signatures is set, but trusted_keys is empty: nothing "
                "could be loaded. Name the public keys that are trusted"
            )
