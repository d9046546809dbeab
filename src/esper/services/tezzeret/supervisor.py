"""Supervisor: keeps N workers alive, each in a process of its own, until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from random import Random
from types import FrameType
from typing import Final

from pydantic import JsonValue

from esper.contracts.errors import AccessDeniedError, EsperError
from esper.contracts.ports import BlueprintQueue, Clock, Publisher
from esper.services.tezzeret.build_limits import end_with_parent, stand_back
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.worker import Worker
from esper.utils.backoff import Backoff
from esper.utils.clock import SystemClock
from esper.utils.heartbeat import Details
from esper.utils.kept_process import KeptProcess, wait_for_ends
from esper.utils.logging import get_logger, setup_logging
from esper.utils.stop import Flag, Stop

logger = get_logger("tezzeret.supervisor")

MakeQueue = Callable[[], BlueprintQueue]
"""Connects to the library; called once in each worker's process, so it must pickle."""
Join = Callable[[str, Details], AbstractContextManager[Publisher | None]]
"""Puts a worker of that name onto the bus for the length of a block; must pickle, too."""

GIVE_BACK: Final = signal.SIGUSR1
"""Tells a worker to stop and to give back what it is building. Not a second SIGTERM: two that
come quickly are one."""
TICK_SECONDS: Final = 0.2
REFUSED: Final = 77
"""Exit status of a worker whom the library does not let in: starting it again does not help."""

_STEADY_SECONDS: Final = 60.0
"""A worker that lived this long is no failure when it ends."""
_KILL_SECONDS: Final = 15.0


class _Spawned:
    """A worker's process. Spawned, not forked: a worker has threads, and a forge may have too."""

    def __init__(self, target: Callable[..., None], *args: object, name: str) -> None:
        self.process = multiprocessing.get_context("spawn").Process(
            target=target, args=args, name=name
        )
        self.process.start()
        assert self.process.pid is not None  # it was started
        self.pid = self.process.pid

    def poll(self) -> int | None:
        """Return its exit status; None as long as it runs."""
        return self.process.exitcode


class Supervisor:
    """Runs a forge.

    Args:
        config: Number of workers, limits, pauses.
        make_queue: Connects a worker to the library.
        join: Puts a worker onto the bus; default none.
        clock: Tells the time.
    """

    def __init__(
        self,
        config: TezzeretConfig,
        make_queue: MakeQueue,
        *,
        join: Join | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._config, self._make_queue = config, make_queue
        self._join = join or unheard
        self._clock = clock or SystemClock()
        self._workers = [self._kept(number) for number in range(config.workers)]

    def run(self, stop: Stop) -> None:
        """Keep the workers alive until `stop` is set, then let them finish what they are building.

        A build that is not done after `drain_seconds` is given back to the library. A worker that
        died is started again, after ever longer pauses if it keeps dying.

        Raises:
            AccessDeniedError: The library lets none of the workers in.
        """
        try:
            while not stop.is_set():
                for kept in self._workers:
                    self._look_after(kept)
                stop.wait(TICK_SECONDS)
        finally:
            self._drain()

    @property
    def starts(self) -> int:
        """How often a worker was started; may be asked from another thread."""
        return sum(kept.starts for kept in self._workers)

    def pids(self) -> list[int]:
        """Process ids of the workers that are alive; likewise."""
        return [pid for kept in self._workers if (pid := kept.pid) is not None]

    def alive(self) -> int:
        """How many workers have a process; likewise."""
        return len(self.pids())

    def is_ready(self) -> bool:
        """Whether all workers have a process; likewise."""
        return self.alive() == len(self._workers)

    def details(self) -> dict[str, JsonValue]:
        """Figures for signs of life; likewise."""
        return {"workers": self.alive(), "wanted": len(self._workers), "starts": self.starts}

    def _kept(self, number: int) -> KeptProcess:
        config, name = self._config, f"{self._config.name}-{number}"
        random = Random(name)  # noqa: S311 spreads pauses, guards nothing
        return KeptProcess(
            name,
            lambda: _Spawned(work, self._make_queue, config, name, self._join, name=name),
            backoff=Backoff(config.backoff_seconds, config.backoff_most_seconds, random),
            steady_seconds=_STEADY_SECONDS,
            clock=self._clock,
        )

    def _look_after(self, kept: KeptProcess) -> None:
        status = kept.reap()
        if status == REFUSED:
            raise AccessDeniedError(
                f"the library does not let the worker {kept.name} in; give the forge a token "
                "with the role 'compiler' (esper urza token issue --role compiler)"
            )
        if status is not None:
            pause = round(kept.failed(), 2)
            logger.warning("worker ended", worker=kept.name, status=status, seconds=pause)
        elif kept.start():
            logger.info("worker started", worker=kept.name, pid=kept.pid)

    def _drain(self) -> None:
        """First word: finish. Second word, when time is up: give back. Then kill."""
        for word, seconds in (
            (signal.SIGTERM, self._config.drain_seconds),
            (GIVE_BACK, _KILL_SECONDS),
            (signal.SIGKILL, _KILL_SECONDS),
        ):
            left = [kept for kept in self._workers if kept.reap() is None and kept.pid]
            for kept in left:
                logger.info("stopping worker", worker=kept.name, signal=word.name)
                kept.tell(word)
            ends = [partial(_has_ended, kept) for kept in left]
            if wait_for_ends(ends, seconds, clock=self._clock, hurry=Flag()):
                break


def _has_ended(kept: KeptProcess) -> bool:
    return kept.reap() is not None or kept.pid is None


@contextlib.contextmanager
def unheard(name: str, details: Details) -> Iterator[None]:
    """Put nobody onto any bus."""
    yield None


def work(make_queue: MakeQueue, config: TezzeretConfig, name: str, join: Join = unheard) -> None:
    """Run one worker in this process until SIGTERM; at `GIVE_BACK` its build is given back.

    Raises:
        SystemExit: With `REFUSED` if the library does not let it in.
    """
    stop, hurry = Flag(), Flag()

    def told(number: int, frame: FrameType | None) -> None:
        if number == GIVE_BACK:
            hurry.set()
        stop.set()

    signal.signal(signal.SIGTERM, told)
    signal.signal(GIVE_BACK, told)
    # Ctrl-C reaches the whole group; the supervisor passes on what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    setup_logging("tezzeret")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every look at the queue
    stand_back(config.niceness)
    try:
        worker = Worker(make_queue(), config, name=name)
        with join(name, worker.account.details) as worker.account.publisher:
            worker.run(stop, hurry=hurry)
    except AccessDeniedError as error:
        logger.error("refused", worker=name, why=str(error))  # noqa: TRY400 a wrong token needs no stack
        raise SystemExit(REFUSED) from None
    except EsperError:
        logger.exception("worker failed", worker=name)
        raise SystemExit(1) from None
