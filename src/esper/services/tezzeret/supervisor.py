"""Supervisor: keeps N workers alive, each in a process of its own, until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
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


@dataclass
class _Post:
    """One worker's place, and the process that fills it."""

    name: str
    backoff: Backoff
    process: BaseProcess | None = None
    since: float = 0.0
    """When the process was started, or may be started again."""


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
        self.starts = 0
        """How often a worker was started."""
        # Spawned, not forked: a worker has threads, and a supervisor may have some too.
        self._context = multiprocessing.get_context("spawn")
        self._posts = [self._post(number) for number in range(config.workers)]

    def run(self, stop: Stop) -> None:
        """Keep the workers alive until `stop` is set, then let them finish what they are building.

        A build that is not done after `drain_seconds` is given back to the library. A worker that
        died is started again, after ever longer pauses if it keeps dying.

        Raises:
            AccessDeniedError: The library lets none of the workers in.
        """
        try:
            while not stop.is_set():
                self._fill()
                self._wait(TICK_SECONDS, stop)
                self._clear()
        finally:
            self._drain()

    def pids(self) -> list[int]:
        """Process ids of the workers that are alive."""
        alive = [p.process for p in self._posts if p.process is not None and p.process.is_alive()]
        return [process.pid for process in alive if process.pid is not None]

    def alive(self) -> int:
        """How many workers have a process; may be asked from another thread."""
        return sum(post.process is not None for post in self._posts)

    def is_ready(self) -> bool:
        """Whether all workers have a process; likewise."""
        return self.alive() == len(self._posts)

    def details(self) -> dict[str, JsonValue]:
        """Figures for signs of life; likewise."""
        return {"workers": self.alive(), "wanted": len(self._posts), "starts": self.starts}

    def _post(self, number: int) -> _Post:
        name = f"{self._config.name}-{number}"
        random = Random(name)  # noqa: S311 spreads pauses, guards nothing
        first, most = self._config.backoff_seconds, self._config.backoff_most_seconds
        return _Post(name, Backoff(first, most, random))

    def _fill(self) -> None:
        """Start a process wherever there is none and its pause is over."""
        now = self._clock.monotonic()
        for post in self._posts:
            if post.process is None and now >= post.since:
                post.process = self._context.Process(
                    target=work,
                    args=(self._make_queue, self._config, post.name, self._join),
                    name=post.name,
                )
                post.process.start()
                self.starts += 1
                post.since = now
                logger.info("worker started", worker=post.name, pid=post.process.pid)

    def _wait(self, seconds: float, stop: Stop) -> None:
        """Wait for a worker's end, a little at most; without workers, for the word to stop."""
        sentinels = [post.process.sentinel for post in self._posts if post.process is not None]
        if sentinels:
            wait(sentinels, timeout=seconds)
        else:
            stop.wait(seconds)

    def _clear(self) -> None:
        """See which workers ended, and when they may start again."""
        now = self._clock.monotonic()
        for post in self._posts:
            if post.process is None or post.process.is_alive():
                continue
            status = post.process.exitcode
            post.process = None
            if status == REFUSED:
                raise AccessDeniedError(
                    f"the library does not let the worker {post.name} in; give the forge a token "
                    "with the role 'compiler' (esper urza token issue --role compiler)"
                )
            if now - post.since > _STEADY_SECONDS:
                post.backoff.succeeded()
            pause = post.backoff.failed()
            post.since = now + pause
            logger.warning("worker ended", worker=post.name, status=status, seconds=round(pause, 2))

    def _drain(self) -> None:
        """First word: finish. Second word, when time is up: give back. Then kill."""
        for seconds, word in (
            (self._config.drain_seconds, signal.SIGTERM),
            (_KILL_SECONDS, GIVE_BACK),
            (_KILL_SECONDS, signal.SIGKILL),
        ):
            left = [p.process for p in self._posts if p.process and p.process.is_alive()]
            if not left:
                break
            for process in left:
                assert process.pid is not None  # it is alive
                logger.info("stopping worker", worker=process.name, signal=word.name)
                with contextlib.suppress(ProcessLookupError):  # it ended just now
                    os.kill(process.pid, word)
            deadline = self._clock.monotonic() + seconds
            for process in left:
                process.join(max(0.0, deadline - self._clock.monotonic()))
        for post in self._posts:
            post.process = None


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
