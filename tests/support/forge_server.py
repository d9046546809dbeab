"""A `MemoryQueue` that workers in other processes can reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.managers import BaseManager, Server
from threading import Thread
from typing import Any

from esper.contracts.errors import AccessDeniedError
from esper.contracts.library import (
    BlueprintRecord,
    KernelRecord,
    KernelRegistration,
    Lease,
    ValidationReport,
)
from support.forge import MemoryQueue

KEY = b"of a test"


class _Manager(BaseManager):
    """Hands out one queue."""


class RemoteQueue:
    """The port `BlueprintQueue`, carried out in the test's own process."""

    def __init__(self, address: Any) -> None:
        _Manager.register("queue")
        self._manager = _Manager(address, KEY)
        self._manager.connect()
        self._queue = self._manager.queue()

    def lease(self, worker: str, *, seconds: float) -> Lease | None:
        return self._queue.lease(worker, seconds=seconds)

    def renew(self, lease: Lease, *, seconds: float) -> Lease:
        return self._queue.renew(lease, seconds=seconds)

    def complete(
        self, lease: Lease, data: bytes, registration: KernelRegistration, report: ValidationReport
    ) -> KernelRecord:
        return self._queue.complete(lease, data, registration, report)

    def fail(
        self, lease: Lease, *, reason: str, report: ValidationReport | None, retry: bool
    ) -> BlueprintRecord:
        return self._queue.fail(lease, reason=reason, report=report, retry=retry)


def connect(address: Any) -> RemoteQueue:
    return RemoteQueue(address)


def denied() -> RemoteQueue:
    raise AccessDeniedError("no token")


def broken() -> RemoteQueue:
    raise ValueError("a worker that cannot even start")


@contextmanager
def served(queue: MemoryQueue) -> Iterator[partial[RemoteQueue]]:
    """Serve `queue`; yields what connects to it from another process."""

    class Serving(BaseManager):
        pass

    Serving.register("queue", callable=lambda: queue)
    server: Server = Serving(("127.0.0.1", 0), KEY).get_server()
    Thread(target=_serve, args=(server,), daemon=True).start()
    yield partial(connect, server.address)
    server.stop_event.set()


def _serve(server: Server) -> None:
    with suppress(SystemExit):  # how it says that it has ended
        server.serve_forever()
