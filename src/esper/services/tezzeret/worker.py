"""Worker: takes one blueprint after the other from the library, has it built, brings the result.

What can go wrong and what becomes of it:

* a check fails, or a limit is exceeded: the blueprint is INVALID, with the reason;
* the build crashes or hangs: the blueprint goes back, and after the last try it is INVALID;
* the lease is lost (this worker was too slow, or asleep): the result is dropped, for another
  worker has the blueprint now;
* the library cannot be reached: asked again after ever longer pauses; a finished kernel is kept
  and offered until its lease has ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from threading import Event, Thread
from typing import Final, Self

from pydantic import JsonValue

from esper.contracts.assets import Blueprint
from esper.contracts.base import KernelId
from esper.contracts.enums import TopicNames
from esper.contracts.errors import (
    LeaseLostError,
    LibraryError,
    LibraryUnavailableError,
    SubmissionError,
)
from esper.contracts.library import KernelRegistration, Lease, ValidationReport
from esper.contracts.platform_events import BuildFinished, BuildStarted
from esper.contracts.ports import BlueprintQueue, Clock, Publisher
from esper.services.tezzeret.build_job import (
    Abandoned,
    Broken,
    Builder,
    Outcome,
    Proof,
)
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.utils.backoff import Backoff
from esper.utils.clock import SystemClock
from esper.utils.logging import get_logger
from esper.utils.stop import Flag, Stop

logger = get_logger("tezzeret.worker")


BEATS: Final = 3
"""Renewals in the time of one lease: two may go astray."""


class Heartbeat:
    """Renews a lease from a thread of its own, from `with` until the block ends.

    A library that cannot be reached is asked again at the next beat; whether the lease is still
    ours is then the library's to say, when the result arrives.

    Args:
        queue: Where the lease comes from; used from another thread.
        lease: What to keep.
        seconds: Its length.
    """

    def __init__(self, queue: BlueprintQueue, lease: Lease, *, seconds: float) -> None:
        self.lease = lease
        """The lease as last renewed."""
        self._queue, self._seconds = queue, seconds
        self._over, self._lost = Event(), Event()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)

    def lost(self) -> bool:
        """Whether the lease is somebody else's by now."""
        return self._lost.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, or until the lease is lost."""
        self._lost.wait(seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._seconds / BEATS):
            try:
                self.lease = self._queue.renew(self.lease, seconds=self._seconds)
            except LeaseLostError as error:
                logger.warning("lease lost", blueprint=self.lease.blueprint.name, why=str(error))
                self._lost.set()
                return
            except LibraryError as error:
                logger.warning("heartbeat not heard", why=str(error))


@dataclass
class Ending:
    """How a build ended: with a kernel, or with a reason why there is none."""

    kernel_id: KernelId | None = None
    reason: str = "the library could not be reached before the lease ended"

    def __str__(self) -> str:
        return self.reason if self.kernel_id is None else f"kernel {self.kernel_id}"


class Account:
    """Counts one worker's builds.

    Args:
        worker: Its name.
        clock: Tells the time.
    """

    def __init__(self, worker: str, clock: Clock) -> None:
        self.publisher: Publisher | None = None
        """Who is told; None tells nobody."""
        self._worker, self._clock = worker, clock
        self._building = ""
        self._built = self._failed = 0

    def details(self) -> dict[str, JsonValue]:
        """Figures for signs of life; may be asked from another thread."""
        return {"building": self._building, "built": self._built, "failed": self._failed}

    @contextmanager
    def build(self, lease: Lease) -> Iterator[Ending]:
        """Tell that a build begins, and at the end of the block how it ended.

        Yields:
            What the block fills in.
        """
        identity, began = lease.blueprint.blueprint_id, self._clock.monotonic()
        self._tell(BuildStarted(blueprint_id=identity, worker=self._worker))
        self._building = lease.blueprint.name
        ending = Ending()
        try:
            yield ending
        finally:
            self._building = ""
            self._built += ending.kernel_id is not None
            self._failed += ending.kernel_id is None
            self._tell(
                BuildFinished(
                    blueprint_id=identity,
                    worker=self._worker,
                    seconds=max(0.0, self._clock.monotonic() - began),
                    kernel_id=ending.kernel_id,
                    reason="" if ending.kernel_id is not None else ending.reason,
                )
            )

    def _tell(self, event: BuildStarted | BuildFinished) -> None:
        if self.publisher is not None:
            self.publisher.publish(event, topic=TopicNames.EVENTS_COMPILATION)


Build = Callable[[Blueprint, Callable[[], bool]], Outcome]
"""Builds a blueprint; the function says when nobody wants the result any more."""


class Worker:
    """Works through a queue of blueprints, one at a time.

    Args:
        queue: Where blueprints come from and kernels go; called from two threads.
        config: Limits, targets, pauses.
        name: What the library knows this worker by; default the config's.
        hurry: When to give back a blueprint that is being built; default never.
        clock: Tells the time.
        build: How a blueprint is built; default in a child process.
    """

    def __init__(
        self,
        queue: BlueprintQueue,
        config: TezzeretConfig,
        *,
        name: str | None = None,
        hurry: Stop | None = None,
        clock: Clock | None = None,
        build: Build | None = None,
    ) -> None:
        self.name = name or config.name
        self._queue, self._config, self._hurry = queue, config, hurry or Flag()
        self._clock = clock or SystemClock()
        self.account = Account(self.name, self._clock)
        """What it has built; whoever is to be told of builds is put in there."""
        self._random = Random(self.name)  # noqa: S311 spreads pauses, guards nothing
        self._build = build or Builder(config, self._clock)

    def run(self, stop: Stop) -> None:
        """Work until `stop` is set; a build under way is finished first, unless there is a hurry.

        Raises:
            AccessDeniedError: The library does not let this worker in.
        """
        backoff = self._backoff()
        while not stop.is_set():
            try:
                found = self.step()
            except LibraryUnavailableError as error:
                pause = backoff.failed()
                logger.warning("library unavailable", why=str(error), seconds=round(pause, 2))
                stop.wait(pause)
                continue
            backoff.succeeded()
            if not found:
                stop.wait(self._config.poll_seconds * self._random.uniform(0.75, 1.25))

    def step(self) -> bool:
        """Take one blueprint, build it and bring the result; whether there was one.

        Raises:
            LibraryUnavailableError: There is no asking for work, or no bringing of the result
                before the lease ended.
            AccessDeniedError: The library does not let this worker in.
        """
        lease = self._queue.lease(self.name, seconds=self._config.lease_seconds)
        if lease is None:
            return False
        log = logger.bind(worker=self.name, blueprint=lease.blueprint.name, attempt=lease.attempt)
        log.info("building")
        with (
            self.account.build(lease) as ending,
            Heartbeat(self._queue, lease, seconds=self._config.lease_seconds) as heartbeat,
        ):
            outcome = self._build(lease.blueprint, lambda: heartbeat.lost() or self._hurry.is_set())
            try:
                self._deliver(heartbeat, outcome, ending)
            except LeaseLostError as error:
                ending.reason = f"result dropped: {error}"
        log.info("done", outcome=str(ending))
        return True

    def _deliver(self, heartbeat: Heartbeat, outcome: Outcome, ending: Ending) -> None:
        """Bring the result, again and again while the library is away and the lease lasts."""
        backoff = self._backoff()
        while not heartbeat.lost():
            try:
                self._bring(heartbeat.lease, outcome, ending)
            except LibraryUnavailableError:
                now = datetime.fromtimestamp(self._clock.now(), tz=UTC)
                over = heartbeat.lost() or now > heartbeat.lease.expires_at
                if over or self._hurry.is_set():
                    raise
                heartbeat.pause(backoff.failed())
            else:
                return
        raise LeaseLostError(
            f"the lease of {heartbeat.lease.blueprint.name!r} went to another worker"
        )

    def _bring(self, lease: Lease, outcome: Outcome, ending: Ending) -> None:
        """Bring the result; `ending` is told what became of it."""
        report, retry = None, False
        match outcome:
            case Proof(data=bytes() as data):
                report = outcome.report
                try:
                    ending.kernel_id = self._complete(lease, data, report)
                except SubmissionError as error:
                    reason = f"the library refuses the kernel: {error}"
                    ending.reason = f"refused: {error}"
                else:
                    return
            case Proof():
                report, reason = outcome.report, outcome.report.reason
                ending.reason = f"invalid: {reason}"
            case Broken(reason=reason, final=final):
                last = lease.attempt >= self._config.max_attempts
                retry = not (final or last)
                if last and not final:
                    reason = f"set aside after {lease.attempt} tries: {reason}"
                ending.reason = reason
            case Abandoned():
                retry, reason = True, "given back: the forge is shutting down"
                ending.reason = reason
        self._queue.fail(lease, reason=reason, report=report, retry=retry)

    def _complete(self, lease: Lease, data: bytes, report: ValidationReport) -> KernelId:
        """Bring a kernel.

        Raises:
            SubmissionError: The library refuses it.
        """
        chain = report.toolchain
        registration = KernelRegistration(
            kernel_id=hashlib.sha256(data).hexdigest(),
            blueprint_id=lease.blueprint.blueprint_id,
            host=lease.blueprint.host,
            tags=chain.model_dump(include={"torch", "python", "machine", "device"}),
        )
        self._queue.complete(lease, data, registration, report)
        return registration.kernel_id

    def _backoff(self) -> Backoff:
        config = self._config
        return Backoff(config.backoff_seconds, config.backoff_most_seconds, self._random)
