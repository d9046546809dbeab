"""The worker of a nursery: a process that holds races for a trainer.

It lives as long as the trainer holds the other end of its pipe, whatever becomes of the trainer.
"""

from __future__ import annotations

import signal
from multiprocessing.connection import Connection

from esper.orchestration.nursery import Batch
from esper.orchestration.nursery import Mark
from esper.orchestration.nursery import Progress
from esper.orchestration.nursery import Trouble
from esper.orchestration.nursery import answer
from esper.orchestration.race import Race
from esper.services.tezzeret.nursery_wire import Kind
from esper.services.tezzeret.nursery_wire import Opening
from esper.services.tezzeret.nursery_wire import header
from esper.services.tezzeret.nursery_wire import pack_answer
from esper.services.tezzeret.nursery_wire import unpack


def serve(connection: Connection) -> None:
    """Hold one race after another until the trainer is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to answer
    held = _Held()
    try:
        while True:
            reply = held.take(connection.recv_bytes())
            if reply is not None:
                connection.send_bytes(reply)
    except (EOFError, ConnectionError):
        return


class _Held:
    """The race at hand, if there is one."""

    def __init__(self) -> None:
        self._race: Race | None = None

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
        return reply

    def _do(self, message: Opening | Batch | Mark) -> Progress | None:
        if isinstance(message, Opening):
            message.surroundings.apply()
            self._race = message.race
            return None
        assert self._race is not None  # the caller has looked
        return answer(self._race, message)
