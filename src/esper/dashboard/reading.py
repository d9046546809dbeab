"""RunReader: a run's account from the store, read once and then only what is new."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, get_args

from esper.contracts.events import AnyEvent, HealthMeasured
from esper.contracts.records import AnyRecord, StepLogged
from esper.contracts.runs import RunSummary
from esper.report.run_account import Line, RunAccount
from esper.services.nissa.projection import record_of
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
_KEPT: Final = 16


@dataclass
class _Known:
    attempt: int
    cursor: int = -1
    lines: dict[int, Line] = field(default_factory=dict)
    unread: int = 0


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
        run_id = summary.run_id
        known = self._known.get(run_id)
        # A run that was resumed may have cut off lines that are known here.
        if known is None or known.attempt != summary.attempt:
            known = self._known[run_id] = _Known(summary.attempt)
        self._known.move_to_end(run_id)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        news = self._store.every_line(run_id, after=known.cursor, types=TYPES, kinds=KINDS)
        async for line in news:
            # Another page may have read it meanwhile.
            if line.cursor > known.cursor:
                known.cursor = line.cursor
                if (said := record_of(line.body)) is None:
                    known.unread += 1
                else:
                    known.lines[line.position] = said
        return summary, RunAccount(
            lines=tuple(line for _, line in sorted(known.lines.items())),
            state=summary.state,
            newest_step=summary.step,
            folder=summary.folder,
            unread=known.unread,
        )
