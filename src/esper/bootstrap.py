"""Bootstrap: the only place where concrete services meet.

The command line asks here for a whole run; what it is made of (trainer, kernel store, report) is
chosen in this file: embedded, with local files and in one process, or with a library (Urza) that
is reached over HTTP.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from esper.configs import RedisConfig
from esper.contracts.ports import KernelSource, KernelTier, TelemetrySink
from esper.contracts.records import KernelsDelivered, LogEntry
from esper.execution.cache_config import KernelCacheConfig
from esper.execution.error_tracker import ErrorTracker
from esper.execution.kernel_cache import KernelCache
from esper.execution.kernel_store import LocalKernelStore
from esper.hosting.bus_access import bus_url
from esper.hosting.discovery import find
from esper.hosting.forge_access import forge as forge  # noqa: PLC0414 users call it here
from esper.hosting.library_access import library as library  # noqa: PLC0414 users call it here
from esper.hosting.presence import followed
from esper.integrations.loggers.choose import choose_logger
from esper.integrations.loggers.feed import LoggerFeed
from esper.integrations.loggers.logger import Logger
from esper.report.page import WrittenReport, write_report
from esper.services.tezzeret.nursery_server import ProcessNursery
from esper.services.tolaria.outbox import deliver
from esper.services.tolaria.result import RunResult, RunStatus
from esper.services.tolaria.run import restore
from esper.services.tolaria.run_control import Control
from esper.services.tolaria.run_folder import RunFolder, saved_config
from esper.services.tolaria.session import Session, begin
from esper.services.tolaria.trainer import TolariaTrainer
from esper.services.tolaria.training_config import TolariaConfig
from esper.utils import extras
from esper.utils.clock import SystemClock

OnRecord = Callable[[LogEntry], None]
"""Takes each record and event of a run's log as it is written."""


def train(
    config: TolariaConfig,
    *,
    resume: bool = False,
    on_record: OnRecord | None = None,
    sinks: Sequence[TelemetrySink] = (),
    bus: str | None = None,
    store: str | None = None,
    loggers: Sequence[Logger | str] = (),
) -> tuple[RunResult, WrittenReport | None]:
    """Train a model, and write its report when the run has come to its end.

    Args:
        config: of the run.
        resume: go on with the run in `config.output`.
        on_record: shown every record and event of the run log, then a `KernelsDelivered`, if any.
        sinks: receive growth events.
        bus: URL of a Redis or Valkey server that carries the run's lines and commands for it, and
            keeps kernels near; default `ESPER_REDIS_URL`, or the file of `ESPER_REDIS_URL_FILE`, or
            the bus of a platform that runs on this machine.
        store: URL of the run store that the run is written to where there is no bus; default the
            one of a platform that runs on this machine, or this user's own.
        loggers: shown the figures of the run, each on a thread of its own: objects with the methods
            of `Logger`, or `NAME` or `NAME:WHERE` as `esper train --logger` takes them.

    Returns:
        The closing figures, and the report; None for a run that was interrupted.

    Raises:
        EsperError: as `TolariaTrainer.run` does.
    """
    with ExitStack() as stack:
        url = config.library.url
        source = None if url is None else stack.enter_context(library(url))
        nursery = None
        if config.nursery == "process" and config.grow:
            nursery = stack.enter_context(ProcessNursery())
        bus, store = _followers(bus, store)
        keys = config.library.trusted_keys
        trusting = KernelCacheConfig(trusted_keys=keys, require_signatures=bool(keys))
        control, cache = Control(), kernel_cache(source, redis=bus, config=trusting)
        publisher = stack.enter_context(
            followed(
                config.output,
                bus=bus,
                store=store,
                details=partial(_figures, control, cache),
                also=[control.listen],
            )
        )
        feeds = [stack.enter_context(_feed(logger, config.output)) for logger in loggers]
        trainer = TolariaTrainer(
            config,
            resume=resume,
            on_event=partial(_tell, [*feeds, *([] if on_record is None else [on_record])]),
            sinks=sinks,
            publisher=publisher,
            control=control,
            library=source,
            cache=cache,
            nursery=nursery,
        )
        result = trainer.run()
        if result.status is RunStatus.INTERRUPTED:
            return result, None
        if source is not None:
            delivery = deliver(config.output, source)
            if on_record is not None:
                on_record(delivery.model_copy(update={"step": result.steps}))
    return result, write_report(config.output)


def send(folder: Path, url: str | None = None) -> KernelsDelivered:
    """Send what the run in a folder still has for a library.

    Args:
        folder: of a run that has ended.
        url: where the library is; default the run's own, then `ESPER_URZA_URL`.

    Raises:
        RunFolderError: the folder holds no run.
        ConfigError: nobody says where the library is.
    """
    with library(url or saved_config(folder).library.url) as source:
        return deliver(folder, source)


def _followers(bus: str | None, store: str | None) -> tuple[str | None, str | None]:
    """Where the run's lines go: the bus, or without one the store; what is given comes first."""
    bus = bus or bus_url(os.environ)
    platform = find() if bus is None else None
    if platform is None:
        return bus, store
    return platform.bus_url, store or platform.store_url


def _figures(control: Control, cache: KernelCache) -> Mapping[str, JsonValue]:
    """What a trainer's signs of life tell."""
    stats = cache.stats
    errors = sum(tier.errors for tier in stats.tiers)
    counts: dict[str, JsonValue] = {"hits": stats.hits, "misses": stats.misses, "errors": errors}
    return {"run_id": control.run_id, "kernel_cache": counts}


def _feed(logger: Logger | str, folder: Path) -> LoggerFeed:
    return LoggerFeed(choose_logger(logger, folder) if isinstance(logger, str) else logger)


def _tell(receivers: Sequence[OnRecord], record: LogEntry) -> None:
    for receiver in receivers:
        receiver(record)


def prepare(config: TolariaConfig) -> Session:
    """Put a run together without training: data loaded, model wrapped. Nothing is written.

    Raises:
        EsperError: settings, data or model are not usable.
    """
    return begin(config)


def reopen(folder: Path) -> Session:
    """The session of a run that has been begun, at its newest checkpoint.

    Raises:
        RunFolderError: the folder holds no run.
        CheckpointError: the checkpoint is damaged or of another model.
    """
    session = begin(saved_config(folder))
    restore(session, RunFolder(folder, resume=True).saved_state())
    return session


def kernel_store() -> LocalKernelStore:
    """Where kernels are kept on this machine."""
    return LocalKernelStore()


def kernel_cache(
    source: KernelSource | None = None,
    *,
    redis: RedisConfig | str | None = None,
    config: KernelCacheConfig | None = None,
) -> KernelCache:
    """A cache of kernels, as `esper.wrap(kernel_source=...)` takes it: memory, Redis, library.

    Args:
        source: Asked last: a library, for example; None is the kernel store of this machine.
        redis: Server between memory and the source, `EsperConfig.redis` or a URL; None has none.
        config: Sizes, times, and whose kernels are taken.

    Raises:
        ConfigError: A key file is not usable, or a package that Redis or keys need is missing.
    """
    config = config or KernelCacheConfig()
    tiers: list[KernelTier] = []
    tracker = ErrorTracker(SystemClock())
    if redis is not None:
        tier = extras.load("esper.execution.redis_tier").RedisTier
        url = redis if isinstance(redis, str) else redis.url
        tiers.append(tier(url, config.redis, tracker=tracker))
    trust = None
    if config.trusted_keys:
        policy = extras.load("esper.execution.trust").TrustPolicy
        trust = policy.from_files(config.trusted_keys, required=config.require_signatures)
    return KernelCache(
        kernel_store() if source is None else source,
        config.max_bytes,
        tiers=tiers,
        trust=trust,
        # The store of this machine answers at once, and a kernel may be put there any moment.
        negative_seconds=0.0 if source is None else config.negative_seconds,
        tracker=tracker,
    )
