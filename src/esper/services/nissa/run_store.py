"""RunStore: every run's lines, curves and figures, in SQLite or PostgreSQL.

It is a copy of the runs' logs that can be asked questions. Several processes may write to one
store, each line is kept once, and it can be read while it is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import orjson
from sqlalchemy import Connection, Select, exists, select

from esper.contracts.enums import RunState
from esper.contracts.errors import AlertNotFoundError, ConfigError, RunNotFoundError, RunStoreError
from esper.contracts.platform_events import Acknowledgement, Alert
from esper.contracts.ports import Clock
from esper.contracts.runs import (
    BuildView,
    ComponentView,
    Curve,
    Impact,
    KernelHistoryEntry,
    RunSummary,
    StoredLine,
)
from esper.services.nissa import platform_rows, summaries
from esper.services.nissa.adaptations import (
    ADAPTATION_KINDS,
    events,
    history_of,
    impacts_of,
)
from esper.services.nissa.curve_reader import CurveReader
from esper.services.nissa.ingest import AddedLine, Batch, contradiction, remove_run, take_in
from esper.services.nissa.nissa_config import default_url
from esper.services.nissa.platform_rows import AnyDocument
from esper.services.nissa.run_tables import (
    ALERTS,
    BUILDS,
    COMPONENTS,
    HEAD,
    KEEPING,
    LINES,
    MENTIONS,
    POINTS,
    RUNS,
    SERIES,
    make_latest,
)
from esper.storage.database import Database
from esper.utils.clock import SystemClock
from esper.utils.home import private_folder
from esper.utils.nearest import nearest

NEWEST: Final = "newest"
"""In place of a run's id: the run that began last."""

_SQLITE: Final = "sqlite:///"

Result = TypeVar("Result")


class RunStore:
    """An open store. It belongs to the event loop that it was opened in.

    Raises:
        RunStoreError: From every method: the database cannot be reached, or is too busy.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._curves = CurveReader()
        self._reading_curves = asyncio.Lock()

    @classmethod
    async def open(cls, url: str | None = None, *, clock: Clock | None = None) -> Self:
        """Open a store; one that is not there is made, one of an older version migrated.

        Args:
            url: `sqlite:///<path>` or `postgresql://…`; None is this user's own store.
            clock: Tells which runs have not been heard of for too long.

        Raises:
            ConfigError: The URL is of another kind.
            RunStoreError: The database cannot be reached, or a newer version of Esper made it.
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

    async def append(self, batches: Sequence[Batch]) -> Sequence[AddedLine]:
        """Take in lines, in one transaction.

        Returns:
            The lines that the store did not have, in the order of their cursors.
        """
        return await self._write(take_in, batches) if batches else []

    async def contradiction(self, batches: Sequence[Batch]) -> int | None:
        """Return the first byte at which the stored run differs from these lines of it, if any."""
        return await self._database.transact(
            lambda connection: contradiction(connection, batches), writes=False
        )

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
        near = nearest(run, [row[0] for row in await self._all(select(RUNS.c.run_id).limit(1000))])
        hint = "" if near is None else f"did you mean {near}? "
        raise RunNotFoundError(
            f"no run in the run store has an id that begins with {run!r}: {hint}`esper runs list` "
            "shows them"
        )

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

    async def every_line(
        self,
        run_id: str,
        *,
        after: int = -1,
        types: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
    ) -> AsyncIterator[StoredLine]:
        """Yield what `lines` returns of a run, however many they are."""
        while page := await self.lines(run_id, after=after, types=types, kinds=kinds):
            for line in page:
                yield line
            after = page[-1].cursor

    async def newest_cursor(self) -> int:
        """Return a cursor that no stored line is beyond."""
        return int((await self._all(select(HEAD.c.cursor)))[0][0])

    async def changed_runs(self, after: int) -> Sequence[str]:
        """Return the ids of the runs that have lines beyond a cursor."""
        query = select(LINES.c.run_id).where(LINES.c.cursor > after).distinct()
        return sorted(row[0] for row in await self._all(query))

    async def curve(
        self,
        run_id: str,
        name: str,
        *,
        points: int = 2000,
        since: int = 0,
        until: int | None = None,
    ) -> Curve:
        """Return a figure over the steps of a run; one that the store does not know is empty.

        Args:
            run_id: Whole id of the run.
            name: As `Curve.name`.
            points: How many at most, 2 or more: of more, each stretch keeps its lowest and its
                highest.
            since: First step.
            until: Last step; None: the newest.
        """
        async with self._reading_curves:
            return await self._database.transact(
                lambda connection: self._curves.read(
                    connection, run_id, name, points, since, until
                ),
                writes=False,
            )

    async def curve_names(self, run_id: str) -> Sequence[str]:
        """Return the names of the run's curves, sorted."""
        held = exists().where(POINTS.c.series_id == SERIES.c.series_id)
        query = select(SERIES.c.name).where(SERIES.c.run_id == run_id, held)
        return sorted(row[0] for row in await self._all(query))

    async def impacts(self, run_id: str) -> Sequence[Impact]:
        """Return what was expected of each of the run's adaptations, and what it came to."""
        return impacts_of(events(await self._adaptations(run_id)))

    async def kernel_history(self, kernel_id: str) -> Sequence[KernelHistoryEntry]:
        """Return what a kernel did in every run that it was in, the oldest run first."""
        query = (
            select(RUNS.c.run_id, RUNS.c.name)
            .where(
                exists().where(
                    MENTIONS.c.run_id == RUNS.c.run_id, MENTIONS.c.kernel_id == kernel_id
                )
            )
            .order_by(RUNS.c.started_at, RUNS.c.run_id)
        )
        history: list[KernelHistoryEntry] = []
        for row in await self._all(query):
            bodies = await self._adaptations(row.run_id, types=("event", "library", "growth"))
            history += history_of(kernel_id, row.run_id, row.name, bodies)
        return history

    async def save(self, told: AnyDocument, at: datetime | None = None) -> None:
        """Keep what was said of the platform, unless something newer is known.

        Args:
            told: What was said. An alert that has ended stays ended.
            at: When, UTC; None is now.
        """
        await self._write(platform_rows.save, told, at or self._now())

    async def alerts(
        self, run_id: str | None = None, *, open_only: bool = False, limit: int = 100
    ) -> Sequence[Alert]:
        """Return alerts, the newest first.

        Args:
            run_id: Only those about this run; None for all.
            open_only: Only those that have not ended.
            limit: How many at most.
        """
        query = select(ALERTS).order_by(ALERTS.c.raised_at.desc(), ALERTS.c.alert_id)
        if run_id is not None:
            query = query.where(ALERTS.c.run_id == run_id)
        if open_only:
            query = query.where(ALERTS.c.ended_at.is_(None))
        return [platform_rows.alert_of(row) for row in await self._all(query.limit(limit))]

    async def acknowledge(self, alert_id: str, by: str) -> Alert:
        """Note that somebody has seen an alert; who said so first stays.

        Args:
            alert_id: Whole id of the alert.
            by: Who.

        Raises:
            AlertNotFoundError: There is no such alert.
        """
        seen = Acknowledgement(by=by, at=self._now())
        alert: Alert | None = await self._write(platform_rows.acknowledge, alert_id, seen)
        if alert is None:
            raise AlertNotFoundError(
                f"the run store has no alert {alert_id!r}: GET /api/v1/alerts lists them"
            )
        return alert

    async def components(self) -> Sequence[ComponentView]:
        """Return the platform's processes as they were last heard of."""
        query = select(COMPONENTS).order_by(COMPONENTS.c.component, COMPONENTS.c.instance)
        now = self._clock.now()
        return [platform_rows.view_of(row, now) for row in await self._all(query)]

    async def builds(self, limit: int = 50) -> Sequence[BuildView]:
        """Return builds of blueprints, the newest first."""
        query = select(BUILDS).order_by(BUILDS.c.at.desc()).limit(2 * limit)
        return platform_rows.builds_of(await self._all(query))[:limit]

    async def forget(self, run_id: str) -> None:
        """Remove a run and all that is known of it; the run's folder stays.

        Raises:
            RunNotFoundError: There is no run of this id.
        """
        if not await self._write(remove_run, run_id):
            raise RunNotFoundError(f"no run {run_id!r} in the run store")

    async def _adaptations(
        self, run_id: str, types: Sequence[str] = ("event",)
    ) -> Sequence[dict[str, Any]]:
        """The run's lines that tell of adaptations, in the order of its log."""
        query = (
            select(LINES.c.position, LINES.c.body)
            .where(LINES.c.run_id == run_id, LINES.c.type.in_(types))
            .where(LINES.c.kind.in_((*ADAPTATION_KINDS, "")))
        )
        # Sorted here: told to sort, SQLite would go through all lines in the order of positions.
        rows = sorted(await self._all(query), key=lambda row: int(row.position))
        return [orjson.loads(row.body) for row in rows]

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    async def _write(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await self._database.transact(
            lambda connection: work(connection, *arguments), writes=True
        )

    async def _all(self, query: Select[Any]) -> Sequence[Any]:
        def read(connection: Connection) -> Sequence[Any]:
            return connection.execute(query).all()

        return await self._database.transact(read, writes=False)


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
        # Without what follows the scheme: there may be a password in it.
        scheme = url.partition(":")[0]
        raise ConfigError(
            f"the run store's URL begins with {scheme!r}; expected sqlite:///<file> or postgresql://"
        )
    file = Path(url.removeprefix(_SQLITE)).absolute()
    try:
        private_folder(file.parent)
    except OSError as error:
        raise RunStoreError(f"{file.parent} cannot be made: {error.strerror}") from error
    return f"{_SQLITE}{file}"
