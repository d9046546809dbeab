"""What a user may say about a forge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from esper.contracts.library import Target
from esper.utils.ranges import AT_LEAST_0, POSITIVE, SEED, WHOLE, Range, check_numbers, require

_GIBIBYTE = 2**30


@dataclass(frozen=True, kw_only=True)
class TezzeretConfig:
    """How a forge builds, measures and restrains itself."""

    workers: int = 1
    """Blueprints that are built at the same time, each by a process of its own."""
    name: str = "forge"
    """What the library knows it by; each worker adds its number."""
    targets: tuple[Target, ...] = (
        Target(batch_size=1),
        Target(batch_size=32),
        Target(batch_size=32, compiled=True),
    )
    """Where latency is measured; a compiled target also fills the cache of compiled kernels."""
    compile_cache: Path | None = None
    """Folder of compiled kernels, which trainers on this machine share; ``None``:
    the one that ``TORCHINDUCTOR_CACHE_DIR`` names, or else ``$ESPER_HOME/compiled``, or
    ``compiled`` in the user's cache folder for Esper."""
    seed: int = 0
    """Of the weights that kernels are born with, and of every input that they are tried on."""
    build_seconds: float = 300.0
    """Most processor time that one build may take, its compiler included; it is killed then, and
    its blueprint INVALID. One that does nothing for as long is killed, too, and tried again."""
    memory_bytes: int = 4 * _GIBIBYTE
    """Most memory that one build may take, its compiler included; likewise."""
    threads: int = 1
    """Threads of one build's arithmetic."""
    niceness: int = 10
    """How far builds stand back behind other programs: 0 to 19, as of ``nice``."""
    lease_seconds: float = 60.0
    """Length of a lease, renewed three times in that time; a worker that dies is noticed after."""
    max_attempts: int = 3
    """Tries after which a blueprint that crashes its builder is set aside as INVALID."""
    poll_seconds: float = 1.0
    """Pause of a worker that found nothing to do."""
    backoff_seconds: float = 0.5
    """First pause after a failure of the library or a worker; doubled by each further one."""
    backoff_most_seconds: float = 60.0
    """Longest such pause."""
    drain_seconds: float = 60.0
    """Time that builds have to end after SIGTERM; what is unfinished then is given back."""

    def __post_init__(self) -> None:
        check_numbers(
            self,
            "the forge's ",
            **dict.fromkeys(("workers", "threads", "max_attempts"), WHOLE),
            **dict.fromkeys(("build_seconds", "lease_seconds", "poll_seconds"), POSITIVE),
            backoff_seconds=POSITIVE,
            drain_seconds=AT_LEAST_0,
            niceness=Range(words="0 to 19", low=0, high=19),
            memory_bytes=Range(words="1 MiB or more", low=2**20),
            seed=SEED,
        )
        most = self.backoff_most_seconds
        require(
            most >= self.backoff_seconds,
            "the forge's backoff_most_seconds",
            most,
            "at least backoff_seconds",
        )
