"""RunStore: every run's lines, curves and figures, in SQLite or PostgreSQL.

It is a copy of the runs' logs that can be asked questions. Several processes may write to one
store, each line is kept once, and it can be read while it is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Any
from typing import Final
from typing import Self

import orjson
from sqlalchemy import Select
from sqlalchemy import exists
from sqlalchemy import select

from esper.contracts.enums import RunState
from esper.contracts.errors import RunNotFoundError
from esper.contracts.errors import RunStoreError
from esper.contracts.ports import Clock
from esper.contracts.ports import Delivery
from esper.contracts.records import RunRecords
from esper.contracts.runs import Curve
from esper.contracts.runs import RunSummary
from esper.contracts.runs import StoredLine
from esper.services.nissa import summaries
from esper.services.nissa.config import default_url
from esper.services.nissa.curves import curve_of
from esper.services.nissa.schema import KEEPING
from esper.services.nissa.schema import make_latest
from esper.services.nissa.tables import HEAD
from esper.services.nissa.tables import LINES
from esper.services.nissa.tables import POINTS
from esper.services.nissa.tables import RUNS
from esper.services.nissa.tables import SERIES
from esper.services.nissa.taking_in import Batch
from esper.services.nissa.taking_in import NewLine
from esper.services.nissa.taking_in import take_in
from esper.storage.database import Database
from esper.utils.clock import SystemClock

NEWEST: Final = "newest"
"""In place of a run's id: the run that began last."""

_SQLITE: Final = "sqlite:///"


class RunStore:
    """An open store. It belongs to the event loop that it was opened in.

    Raises:
        RunStoreError: From every method: the database cannot be reached, or is too busy.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @classmethod
    async def open(cls, url: str | None = None, *, clock: Clock | None = None) -> Self:
        """Open a store; one that is not there is made, one of an older version migrated.

        Args:
            url: `sqlite:///<path>` or `postgresql://…`; None is this user's own store.
            clock: Tells which runs have not been heard of for too long.

        Raises:
            RunStoreError: The URL is of another kind, the database cannot be reached, or a newer
                version of Esper made it.
        """
        database = Database(_checked(default_url() if url is None else url), KEEPING)
        try:
            await make_latest(database)
        except BaseException:
            await database.close()
            raise
        return cls(database, clock or SystemClock())

    async def close(self) -> None:
        """Release all connections."""
        await self._database.close()

    async def append(self, deliveries: Sequence[Delivery]) -> Sequence[NewLine]:
        """Take in the lines of `RunRecords`, in one transaction.

        Returns:
            The lines that the store did not have, in the order of their cursors.

        Raises:
            pydantic.ValidationError: A payload is no `RunRecords`; nothing was taken in.
        """
        batches = [
            Batch(
                records=RunRecords.model_validate(delivery.message.payload),
                at=delivery.message.timestamp,
                trace_id=delivery.message.trace_id,
            )
            for delivery in deliveries
        ]
        if not batches:
            return []
        async with self._database.writing() as connection:
            new = await connection.run_sync(take_in, batches)
            await connection.commit()
        return new

    async def runs(
        self,
        *,
        limit: int = 50,
        offset: int = 0,
        state: RunState | None = None,
        text: str | None = None,
    ) -> Sequence[RunSummary]:
        """Return runs, those that began last first.

        Args:
            limit: How many at most.
            offset: How many to leave out before.
            state: Only runs in this state.
            text: Only runs whose name, id or folder contains it.
        """
        query = summaries.chosen(self._clock.now(), state=state, text=text)
        return summaries.several(await self._all(query.limit(limit).offset(offset)))

    async def run(self, run: str) -> RunSummary:
        """Return one run.

        Args:
            run: Its id, the beginning of its id, or `newest`.

        Raises:
            RunNotFoundError: There is no such run, or there are several.
        """
        query = summaries.chosen(self._clock.now())
        if run != NEWEST:
            query = query.where(RUNS.c.run_id.startswith(run, autoescape=True))
        found = summaries.several(await self._all(query.limit(2 if run != NEWEST else 1)))
        exact = [summary for summary in found if summary.run_id == run]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if run == NEWEST:
            raise RunNotFoundError("the run store is empty: train something first")
        if found:
            raise RunNotFoundError(f"several runs begin with {run!r}: give more of the id")
        raise RunNotFoundError(f"no run {run!r} in the run store; `esper runs list` shows them")

    async def lines(
        self,
        run_id: str | None,
        *,
        after: int = -1,
        types: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
        limit: int = 1000,
    ) -> Sequence[StoredLine]:
        """Return lines in the order in which the store took them in.

        Args:
            run_id: Whole id of a run; None for all runs.
            after: Cursor of the last line that is known already.
            types: Only lines of these types.
            kinds: Only events of these kinds.
            limit: How many at most.
        """
        query = select(LINES).where(LINES.c.cursor > after).order_by(LINES.c.cursor).limit(limit)
        if run_id is not None:
            query = query.where(LINES.c.run_id == run_id)
        if types is not None:
            query = query.where(LINES.c.type.in_(types))
        if kinds is not None:
            query = query.where(LINES.c.kind.in_(kinds))
        return [_line(row) for row in await self._all(query)]

    async def newest_cursor(self) -> int:
        """Return a cursor that no stored line is beyond."""
        return int((await self._all(select(HEAD.c.cursor)))[0][0])

    async def curve(self, run_id: str, name: str, *, points: int = 2000, since: int = 0) -> Curve:
        """Return a figure over the steps of a run; one that the store does not know is empty.

        Args:
            run_id: Whole id of the run.
            name: As `Curve.name`.
            points: How many at most, 2 or more: of more, each stretch keeps its lowest and its
                highest.
            since: First step.
        """
        query = (
            select(POINTS.c.step, POINTS.c.value)
            .join(SERIES, SERIES.c.series_id == POINTS.c.series_id)
            .where(SERIES.c.run_id == run_id, SERIES.c.name == name, POINTS.c.step >= since)
            .order_by(POINTS.c.step, POINTS.c.position)
        )
        rows = await self._all(query)
        steps = [int(row[0]) for row in rows]
        values = [math.nan if row[1] is None else float(row[1]) for row in rows]
        return curve_of(name, steps, values, points)

    async def curve_names(self, run_id: str) -> Sequence[str]:
        """Return the names of the run's curves, sorted."""
        held = exists().where(POINTS.c.series_id == SERIES.c.series_id)
        query = select(SERIES.c.name).where(SERIES.c.run_id == run_id, held)
        return sorted(row[0] for row in await self._all(query))

    async def _all(self, query: Select[Any]) -> Sequence[Any]:
        async with self._database.reading() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
            return rows


def _line(row: Any) -> StoredLine:
    return StoredLine(
        cursor=row.cursor,
        position=row.position,
        attempt=row.attempt,
        at=datetime.fromtimestamp(row.at, UTC),
        trace_id=row.trace_id,
        body=orjson.loads(row.body),
    )


def _checked(url: str) -> str:
    if url.startswith(("postgresql://", "postgres://")):
        return url
    if not url.startswith(_SQLITE):
        raise RunStoreError(f"a run store's URL begins with sqlite:/// or postgresql://: {url!r}")
    file = Path(url.removeprefix(_SQLITE)).absolute()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunStoreError(f"{file.parent} cannot be made: {error.strerror}") from error
    return f"{_SQLITE}{file}"
