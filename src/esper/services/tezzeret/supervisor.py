"""Supervisor: keeps N workers going until it is told to stop.

Each has a thread of its own: what it waits for is the library, and builds, which are processes of
their own and may come to any end.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from random import Random
from threading import Event, Thread
from typing import Final

from pydantic import JsonValue

from esper.contracts.errors import AccessDeniedError
from esper.contracts.ports import BlueprintQueue, Publisher
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.worker import Worker
from esper.utils.backoff import Backoff
from esper.utils.heartbeat import Details
from esper.utils.logging import get_logger
from esper.utils.stop import Stop

logger = get_logger("tezzeret.supervisor")

Connect = Callable[[], AbstractContextManager[BlueprintQueue]]
"""Connects to the library; called once for each worker."""
Join = Callable[[str, Details], AbstractContextManager[Publisher | None]]
"""Puts a worker of that name onto the bus for the length of a block."""

TICK_SECONDS: Final = 0.2

_STEADY_SECONDS: Final = 60.0
"""A worker that went on this long is no failure when it ends."""
_GIVE_BACK_SECONDS: Final = 15.0


@contextlib.contextmanager
def unheard(name: str, details: Details) -> Iterator[None]:
    """Put nobody onto any bus."""
    yield None


class Supervisor:
    """Runs a forge.

    Args:
        config: Number of workers, limits, pauses.
        connect: Connects a worker to the library.
        join: Puts a worker onto the bus; default none.
    """

    def __init__(
        self,
        config: TezzeretConfig,
        connect: Connect,
        *,
        join: Join = unheard,
    ) -> None:
        self._config, self._connect, self._join = config, connect, join
        self.wanted = config.workers
        """How many workers there should be."""
        self._stop, self._hurry = Event(), Event()
        self._refused: AccessDeniedError | None = None
        self._starts = {f"{config.name}-{number}": 0 for number in range(config.workers)}
        self._working: set[str] = set()

    def run(self, stop: Stop) -> None:
        """Keep the workers going until `stop` is set, then let them finish what they are building.

        A build that is not done after `drain_seconds` is given back to the library. A worker that
        failed is started again, after ever longer pauses if it keeps failing.

        Raises:
            AccessDeniedError: The library does not let a worker in.
        """
        threads = [
            Thread(target=self._keep, args=(name,), name=name, daemon=True) for name in self._starts
        ]
        for thread in threads:
            thread.start()
        while not (stop.is_set() or self._refused):
            stop.wait(TICK_SECONDS)
        # First word: finish. Second word, when time is up: give back.
        for word, seconds in (
            (self._stop, self._config.drain_seconds),
            (self._hurry, _GIVE_BACK_SECONDS),
        ):
            word.set()
            deadline = time.monotonic() + seconds
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        if self._refused is not None:
            raise AccessDeniedError(
                f"the library does not let the forge {self._config.name} in ({self._refused}); give "
                "it a token with the role 'compiler' (esper urza token issue --role compiler)"
            )

    @property
    def starts(self) -> int:
        """How often a worker was started; may be asked from another thread."""
        return sum(self._starts.values())

    def alive(self) -> int:
        """How many workers are at work; likewise."""
        return len(self._working)

    def is_ready(self) -> bool:
        """Whether all workers are; likewise."""
        return self.alive() == self.wanted

    def details(self) -> dict[str, JsonValue]:
        """Figures for signs of life; likewise."""
        return {"workers": self.alive(), "wanted": self.wanted, "starts": self.starts}

    def _keep(self, name: str) -> None:
        """Have a worker work, again and again."""
        config, random = self._config, Random(name)  # noqa: S311 spreads pauses, guards nothing
        backoff = Backoff(config.backoff_seconds, config.backoff_most_seconds, random)
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._work(name)
            except AccessDeniedError as error:
                self._refused = error
                return
            except Exception:  # its thread's boundary: the others go on, and it is started again
                logger.exception("worker failed", worker=name)
            if time.monotonic() - began > _STEADY_SECONDS:
                backoff.succeeded()
            self._stop.wait(backoff.failed())

    def _work(self, name: str) -> None:
        self._starts[name] += 1
        with self._connect() as queue:
            worker = Worker(queue, self._config, name=name, hurry=self._hurry)
            with self._join(name, worker.account.details) as worker.account.publisher:
                self._working.add(name)
                try:
                    worker.run(self._stop)
                finally:
                    self._working.discard(name)
