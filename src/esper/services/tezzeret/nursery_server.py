"""ProcessNursery: holds races in a worker process, while training goes on.

Two threads do the waiting: one writes what the trainer has left for the worker, one reads what comes
back. The trainer itself only leaves bytes and picks up answers.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from queue import SimpleQueue
from secrets import token_hex
from typing import Self

from esper.contracts.errors import ConfigError, TrainingError
from esper.orchestration.nursery import News, Progress, Trouble, answer
from esper.orchestration.race import Race
from esper.services.tezzeret.nursery_wire import (
    Kind,
    Opening,
    Surroundings,
    header,
    pack_answer,
    pack_news,
    pack_opening,
    unpack,
)
from esper.utils.spans import (
    Span,
    SpanContext,
    Spans,
    current_traceparent,
    open_spans,
    parse_traceparent,
)

logger = logging.getLogger(__name__)

_MIB = 2**20
_PICKLING = (pickle.PicklingError, AttributeError, TypeError, RuntimeError)
"""What objects raise that do not let themselves be pickled."""
_SPAWN = multiprocessing.get_context("spawn")  # a forked process would inherit torch's locks


class ProcessNursery:
    """Races in a worker process of this user on this machine. Implements the port `Nursery`.

    The worker is started at once, because that takes seconds, and again when it was lost. A program
    that uses this must be importable: put what it does under ``if __name__ == "__main__":``.

    Args:
        max_bytes: of what waits for the worker, at most. A race whose worker falls further behind
            is called off.

    Example:
        >>> with ProcessNursery() as nursery:  # doctest: +SKIP
        ...     grow = SeedOrchestrator(model, optimizer, nursery=nursery, ...)
    """

    def __init__(self, *, max_bytes: int = 256 * _MIB) -> None:
        self._max_bytes = max_bytes
        self._number = 0
        self._worker: _Worker | None = _Worker(max_bytes)

    @property
    def pid(self) -> int | None:
        """Process id of the worker; None while there is none."""
        return None if self._worker is None else self._worker.pid

    def check(self, parts: Mapping[str, object]) -> None:
        """Refuse what could not be handed to the worker; as the port says."""
        for name, part in parts.items():
            try:
                pickle.dumps(part)
            except _PICKLING as error:
                raise ConfigError(
                    f"{name} cannot be handed to a worker process ({error}): define what it is "
                    "made of at the top level of a module, or hold races in the training loop "
                    "(nursery inline)"
                ) from error

    def take(self, race: Race) -> ProcessWard:
        """Hand a race over, to a new worker if the last one is gone; as the port says."""
        if self._worker is not None and not self._worker.is_usable:
            self.close()
        try:
            if self._worker is None:
                self._worker = _Worker(self._max_bytes)
            self._number += 1
            opening = Opening(race, Surroundings.here(), current_traceparent())
            self._worker.send(pack_opening(self._number, opening))
        except (*_PICKLING, OSError) as error:
            message = f"the race could not be handed to a worker ({type(error).__name__}: {error})"
            raise TrainingError(message) from error
        return ProcessWard(self._worker, self._number)

    def close(self) -> None:
        """End the worker, and with it a race that it holds."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ProcessWard:
    """One race in a worker. Implements the port `Ward`."""

    def __init__(self, worker: _Worker, number: int) -> None:
        self._worker = worker
        self._number = number
        self._trouble: Trouble | None = None

    def send(self, news: News) -> None:
        """Leave something for the worker."""
        if self._trouble is not None:
            return
        try:
            is_left = self._worker.send(pack_news(self._number, news))
        except _PICKLING as error:
            self._trouble = Trouble(f"a batch could not be handed to the worker: {error}")
            return
        if not is_left:
            self._trouble = Trouble(
                f"the worker fell behind by {self._worker.waiting / _MIB:.0f} MiB of batches, more "
                "than max_bytes allows"
            )

    def news(self) -> Sequence[Progress | Trouble]:
        """What the worker has answered, and at last why it answers no more."""
        found = self._worker.answers(self._number)
        lost = self._trouble or self._worker.lost()
        return found if lost is None or any(map(_is_last, found)) else [*found, lost]

    def abandon(self) -> None:
        """End the worker: it may be in the middle of something that nobody wants any more."""
        self._worker.kill()


def _is_last(news: Progress | Trouble) -> bool:
    return isinstance(news, Trouble) or news.outcome is not None


class _Worker:
    """A worker process with its pipe, and the two threads that wait for it."""

    def __init__(self, max_bytes: int) -> None:
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=serve, args=(theirs,), name="esper-nursery", daemon=True
        )
        self._process.start()
        theirs.close()  # else its end would stay open when it dies
        self._max_bytes = max_bytes
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._inbox: deque[tuple[int, Progress | Trouble]] = deque()
        self._counting = threading.Lock()
        self._is_gone = self._is_killed = False
        self.waiting = 0
        """Bytes that wait for the worker."""
        for target in (self._write, self._read):
            threading.Thread(
                target=target, name=f"esper-nursery{target.__name__}", daemon=True
            ).start()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def is_usable(self) -> bool:
        """Whether it is there, and nobody has ended it."""
        return not (self._is_gone or self._is_killed)

    def send(self, data: bytes) -> bool:
        """Leave a message, unless too much waits already. Returns whether it was left."""
        with self._counting:
            # One message may always wait, however large: a model's tensors at a mark.
            if not self._outbox.empty() and self.waiting + len(data) > self._max_bytes:
                return False
            self.waiting += len(data)
        self._outbox.put(data)
        return True

    def answers(self, number: int) -> list[Progress | Trouble]:
        """What has come back since the last time of the race of that number."""
        found = []
        while self._inbox:
            about, news = self._inbox.popleft()
            if about == number:
                found.append(news)
        return found

    def lost(self) -> Trouble | None:
        """Why nothing will come any more; None as long as something may, or is still to be read."""
        if not self._is_gone or self._inbox:
            return None
        return Trouble(f"the worker process ended ({_cause(self._process.exitcode)})")

    def kill(self) -> None:
        """End it at once."""
        self._is_killed = True
        self._process.kill()
        self._process.join()
        self._is_gone = True

    def _write(self) -> None:
        while (data := self._outbox.get()) is not None:
            with contextlib.suppress(OSError):  # it is gone, and whoever reads notices
                self._connection.send_bytes(data)
            with self._counting:
                self.waiting -= len(data)

    def _read(self) -> None:
        try:
            while True:
                data = self._connection.recv_bytes()
                self._inbox.append((header(data)[1], unpack(data)))
        except (EOFError, OSError):
            pass  # its end of the pipe is closed: it is over
        except Exception:
            # Nobody else would notice, and the race would wait for an answer for ever.
            logger.exception("an answer of the nursery's worker cannot be read; it is ended")
            self._process.kill()
        finally:
            self._process.join()
            self._is_gone = True
            self._outbox.put(None)


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"killed by {signal.Signals(-exitcode).name}"
    return f"exit status {exitcode}"


def serve(connection: Connection) -> None:
    """Hold one race after another until the trainer is gone."""
    for signum in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(signum, signal.SIG_IGN)  # Ctrl-C and a lost terminal: the trainer's to answer
    spans = open_spans("esper-nursery")
    held = _Held(spans)
    try:
        while True:
            reply = held.take(connection.recv_bytes())
            if reply is not None:
                connection.send_bytes(reply)
    except (EOFError, ConnectionError):
        return
    finally:
        if spans is not None:
            spans.close()


class _Held:
    """The race at hand, if there is one."""

    def __init__(self, spans: Spans | None = None) -> None:
        self._race: Race | None = None
        self._spans = spans
        self._parent: SpanContext | None = None
        self._began = 0.0

    def take(self, data: bytes) -> bytes | None:
        """Do what a message says. Whatever a race raises ends that race, not the worker."""
        kind, number = header(data)
        if kind is Kind.NEWS and self._race is None:
            return None  # of a race that has ended
        news: Progress | Trouble | None
        try:
            news = self._do(unpack(data))
            reply = None if news is None else pack_answer(number, news)
        except Exception as error:  # noqa: BLE001  # reported to the trainer, which records it
            news = Trouble(f"the worker failed: {type(error).__name__}: {error}")
            reply = pack_answer(number, news)
        if news is not None and _is_last(news):
            self._race = None
            self._trace(news)
        return reply

    def _trace(self, news: Progress | Trouble) -> None:
        """Say that a race was held here, if anybody wants to know."""
        if self._spans is None or self._parent is None:
            return
        self._spans.record(
            Span(
                name="race held by a worker",
                context=SpanContext(self._parent.trace_id, token_hex(8)),
                parent=self._parent,
                began=self._began,
                ended=time.time(),
                attributes={"process.pid": os.getpid()},
                error=news.reason if isinstance(news, Trouble) else None,
            )
        )

    def _do(self, message: Opening | News) -> Progress | None:
        if isinstance(message, Opening):
            message.surroundings.apply()
            self._race = message.race
            self._parent = parse_traceparent(message.traceparent)
            self._began = time.time()
            return None
        assert self._race is not None  # the caller has looked
        return answer(self._race, message)
