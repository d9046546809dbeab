"""Taking lines in: one transaction, after which the store is the same whatever came first.

A line is void where a later attempt of its run began at or before it: what is stored of it goes,
and what comes late is not stored. So the lines of a run depend on what was said, not on the order
in which it arrived or how often.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection
from sqlalchemy import delete
from sqlalchemy import insert
from sqlalchemy import select
from sqlalchemy import update

from esper.contracts.records import RunLine
from esper.contracts.records import RunRecords
from esper.contracts.runs import StoredLine
from esper.services.nissa import projection
from esper.services.nissa.tables import ALERTS
from esper.services.nissa.tables import ATTEMPTS
from esper.services.nissa.tables import HEAD
from esper.services.nissa.tables import LINES
from esper.services.nissa.tables import MENTIONS
from esper.services.nissa.tables import POINTS
from esper.services.nissa.tables import RUNS
from esper.services.nissa.tables import SERIES

_AT_ONCE = 500
"""Keys in one statement; databases have limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLine:
    """A line that the store did not have."""

    run_id: str
    """Its run."""
    line: StoredLine
    """The line, with its cursor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Lines as they were sent."""

    records: RunRecords
    """The lines of one attempt of a run."""
    at: datetime
    """When they were sent, UTC."""
    trace_id: str
    """Trace that they belong to."""


Attempts = Mapping[int, int]
"""Attempt of a run -> bytes of the earlier attempts' log that it kept."""


def take_in(connection: Connection, batches: Sequence[Batch]) -> list[NewLine]:
    """Store what is new; return it in the order of its cursors."""
    cursor = _next_cursor(connection, sum(len(batch.records.lines) for batch in batches))
    by_run: defaultdict[str, list[Batch]] = defaultdict(list)
    for batch in batches:
        by_run[batch.records.run_id].append(batch)
    new: list[NewLine] = []
    for run_id, group in by_run.items():
        attempts = _note_attempts(connection, run_id, group)
        _note_run(connection, run_id, group)
        fresh = _fresh(connection, run_id, group, attempts)
        new += _store(connection, run_id, fresh, cursor + len(new))
    return new


def remove_run(connection: Connection, run_id: str) -> bool:
    """Remove a run, its alerts included; return whether there was one."""
    _next_cursor(connection, 0)
    series = select(SERIES.c.series_id).where(SERIES.c.run_id == run_id)
    connection.execute(delete(POINTS).where(POINTS.c.series_id.in_(series)))
    for table in (SERIES, MENTIONS, LINES, ATTEMPTS, ALERTS):
        connection.execute(delete(table).where(table.c.run_id == run_id))
    return connection.execute(delete(RUNS).where(RUNS.c.run_id == run_id)).rowcount > 0


def is_void(attempt: int, position: int, attempts: Attempts) -> bool:
    """Return whether a later attempt began at or before the line."""
    return any(later > attempt and kept <= position for later, kept in attempts.items())


def _next_cursor(connection: Connection, count: int) -> int:
    # Also holds the row until the end: nobody else takes lines in meanwhile.
    moved = update(HEAD).values(cursor=HEAD.c.cursor + count).returning(HEAD.c.cursor)
    return int(connection.execute(moved).scalar_one()) - count + 1


def _note_attempts(connection: Connection, run_id: str, batches: Iterable[Batch]) -> Attempts:
    known = {
        row.attempt: row.kept
        for row in connection.execute(
            select(ATTEMPTS.c.attempt, ATTEMPTS.c.kept).where(ATTEMPTS.c.run_id == run_id)
        )
    }
    heard = {batch.records.attempt: batch.records.kept for batch in batches}
    news = {attempt: kept for attempt, kept in heard.items() if attempt not in known}
    if news:
        rows = [{"run_id": run_id, "attempt": a, "kept": kept} for a, kept in news.items()]
        connection.execute(insert(ATTEMPTS), rows)
        for attempt, kept in news.items():
            _drop_void(connection, run_id, attempt, kept)
    return {**known, **news}


def _drop_void(connection: Connection, run_id: str, attempt: int, kept: int) -> None:
    """Remove what earlier attempts wrote at or behind the byte at which this one began."""
    void = (LINES.c.run_id == run_id) & (LINES.c.position >= kept) & (LINES.c.attempt < attempt)
    positions = select(LINES.c.position).where(void)
    series = select(SERIES.c.series_id).where(SERIES.c.run_id == run_id)
    connection.execute(
        delete(POINTS).where(POINTS.c.series_id.in_(series), POINTS.c.position.in_(positions))
    )
    connection.execute(
        delete(MENTIONS).where(MENTIONS.c.run_id == run_id, MENTIONS.c.position.in_(positions))
    )
    connection.execute(delete(LINES).where(void))


def _note_run(connection: Connection, run_id: str, batches: Sequence[Batch]) -> None:
    times = [batch.at.timestamp() for batch in batches]
    newest = max(batches, key=lambda batch: (batch.records.attempt, bool(batch.records.folder)))
    name = next((n for n in map(projection.name_of, _bodies(batches)) if n is not None), "")
    row: dict[str, Any] = {
        "name": name,
        "folder": newest.records.folder,
        "attempt": newest.records.attempt,
        "started_at": min(times),
        "updated_at": max(times),
    }
    known = connection.execute(select(RUNS).where(RUNS.c.run_id == run_id)).first()
    if known is None:
        connection.execute(insert(RUNS).values(run_id=run_id, **row))
        return
    if (known.attempt, bool(known.folder)) > (row["attempt"], bool(row["folder"])):
        row.update(folder=known.folder, attempt=known.attempt)
    row["name"] = row["name"] or known.name
    row["started_at"] = min(row["started_at"], known.started_at)
    row["updated_at"] = max(row["updated_at"], known.updated_at)
    connection.execute(update(RUNS).where(RUNS.c.run_id == run_id).values(row))


def _bodies(batches: Iterable[Batch]) -> Iterable[projection.Body]:
    return (line.body for batch in batches for line in batch.records.lines)


def _fresh(
    connection: Connection, run_id: str, batches: Iterable[Batch], attempts: Attempts
) -> list[tuple[Batch, RunLine]]:
    """Return the lines that are neither void nor stored already, in the order they came in."""
    fresh: dict[int, tuple[Batch, RunLine]] = {}
    for batch in batches:
        for line in batch.records.lines:
            if not is_void(batch.records.attempt, line.position, attempts):
                fresh.setdefault(line.position, (batch, line))
    if fresh:
        within = LINES.c.position.between(min(fresh), max(fresh))
        stored = select(LINES.c.position).where(LINES.c.run_id == run_id, within)
        for position in connection.execute(stored).scalars():
            fresh.pop(position, None)
    return list(fresh.values())


def _store(
    connection: Connection, run_id: str, fresh: Sequence[tuple[Batch, RunLine]], cursor: int
) -> list[NewLine]:
    if not fresh:
        return []
    new, rows, points, mentions = [], [], [], []
    for number, (batch, line) in enumerate(fresh, start=cursor):
        body, text = line.body, orjson.dumps(line.body).decode()
        step = projection.step_of(body)
        stored = StoredLine(
            cursor=number,
            position=line.position,
            attempt=batch.records.attempt,
            at=batch.at,
            trace_id=batch.trace_id,
            body=body,
        )
        new.append(NewLine(run_id=run_id, line=stored))
        rows.append(_row(run_id, stored, text))
        points += [(n, step, line.position, v) for n, v in projection.figures_of(body)]
        mentions += [
            {"kernel_id": kernel_id, "run_id": run_id, "position": line.position}
            for kernel_id in projection.kernels_of(body, text)
        ]
    connection.execute(insert(LINES), rows)
    if mentions:
        connection.execute(insert(MENTIONS), mentions)
    if points:
        _store_points(connection, run_id, points)
    return new


def _row(run_id: str, line: StoredLine, text: str) -> dict[str, Any]:
    return {
        "cursor": line.cursor,
        "run_id": run_id,
        "position": line.position,
        "attempt": line.attempt,
        "at": line.at.timestamp(),
        "trace_id": line.trace_id,
        "type": str(line.body.get("type", "")),
        "kind": str(line.body.get("kind", "")),
        "step": projection.step_of(line.body),
        "state": projection.state_of(line.body),
        "body": text,
    }


def _store_points(
    connection: Connection, run_id: str, points: Sequence[tuple[str, int, int, float | None]]
) -> None:
    ids = _series_ids(connection, run_id, sorted({point[0] for point in points}))
    connection.execute(
        insert(POINTS),
        [
            {"series_id": ids[name], "step": step, "position": position, "value": value}
            for name, step, position, value in points
        ],
    )


def _series_ids(connection: Connection, run_id: str, names: Sequence[str]) -> dict[str, int]:
    known = _known_series(connection, run_id, names)
    missing = [{"run_id": run_id, "name": name} for name in names if name not in known]
    if missing:
        connection.execute(insert(SERIES), missing)
        known = _known_series(connection, run_id, names)
    return known


def _known_series(connection: Connection, run_id: str, names: Sequence[str]) -> dict[str, int]:
    known: dict[str, int] = {}
    for begin in range(0, len(names), _AT_ONCE):
        some = names[begin : begin + _AT_ONCE]
        found = select(SERIES.c.name, SERIES.c.series_id).where(
            SERIES.c.run_id == run_id, SERIES.c.name.in_(some)
        )
        known.update((row.name, row.series_id) for row in connection.execute(found))
    return known
