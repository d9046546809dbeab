"""The worker of a nursery: a process that holds races for a trainer.

It lives as long as the trainer holds the other end of its pipe, whatever becomes of the trainer.
"""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from secrets import token_hex

from esper.orchestration.nursery import Batch, Mark, Progress, Trouble, answer
from esper.orchestration.race import Race
from esper.services.tezzeret.nursery_wire import Kind, Opening, header, pack_answer, unpack
from esper.utils.spans import Span, SpanContext, Spans, open_spans, parse_traceparent


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
        if isinstance(news, Trouble) or (news is not None and news.outcome is not None):
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

    def _do(self, message: Opening | Batch | Mark) -> Progress | None:
        if isinstance(message, Opening):
            message.surroundings.apply()
            self._race = message.race
            self._parent = parse_traceparent(message.traceparent)
            self._began = time.time()
            return None
        assert self._race is not None  # the caller has looked
        return answer(self._race, message)
