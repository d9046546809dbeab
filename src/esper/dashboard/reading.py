"""RunReader: a run's account from the store, read once and then only what is new."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, get_args

from pydantic import ValidationError

from esper.contracts.events import AnyEvent, HealthMeasured
from esper.contracts.records import AnyRecord, StepLogged, parse_record
from esper.contracts.runs import RunSummary, StoredLine
from esper.report.run_account import Line, RunAccount
from esper.services.nissa.run_store import RunStore

_LEFT_OUT: Final = (HealthMeasured, StepLogged)
_RECORDS: Final = get_args(get_args(AnyRecord)[0])
_EVENTS: Final = get_args(get_args(AnyEvent)[0])
TYPES: Final = (
    "event",
    *(c.model_fields["type"].default for c in _RECORDS if c not in _LEFT_OUT),
)
"""Types of the lines that a page needs. Points of the training curve are read as curves."""
KINDS: Final = (
    "",
    *(c.model_fields["kind"].default for c in _EVENTS if c not in _LEFT_OUT),
)
"""Kinds of the events among them; a line that is no event has none."""
_BATCH: Final = 1000
_KEPT: Final = 16


@dataclass
class _Known:
    attempt: int
    cursor: int
    lines: dict[int, Line]
    unread: int


class RunReader:
    """Reads runs for the pages; remembers those that were looked at last.

    Args:
        store: Where the runs are.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def read(self, run: str) -> tuple[RunSummary, RunAccount]:
        """Return a run as the store lists it, and its account.

        Args:
            run: Its id, the beginning of its id, or `newest`.

        Raises:
            RunNotFoundError: There is no such run.
        """
        summary = await self._store.run(run)
        known = self._known.get(summary.run_id)
        # A run that was resumed may have cut off lines that are known here.
        if known is None or known.attempt != summary.attempt:
            known = _Known(attempt=summary.attempt, cursor=-1, lines={}, unread=0)
        await self._catch_up(summary, known)
        self._remember(summary.run_id, known)
        lines = tuple(line for _, line in sorted(known.lines.items()))
        return summary, RunAccount(
            lines=lines,
            state=summary.state,
            newest_step=summary.step,
            folder=summary.folder,
            unread=known.unread,
        )

    async def _catch_up(self, summary: RunSummary, known: _Known) -> None:
        while True:
            new = await self._store.lines(
                summary.run_id, after=known.cursor, types=TYPES, kinds=KINDS, limit=_BATCH
            )
            for line in new:
                _take(known, line)
            if len(new) < _BATCH:
                return

    def _remember(self, run_id: str, known: _Known) -> None:
        self._known[run_id] = known
        self._known.move_to_end(run_id)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)


def _take(known: _Known, line: StoredLine) -> None:
    known.cursor = max(known.cursor, line.cursor)
    try:
        known.lines[line.position] = parse_record(line.body)
    except ValidationError:
        known.unread += 1
