"""Taking lines in: one transaction, after which the store is the same whatever came first.

A line is void where a later attempt of its run began at or before it: what is stored of it goes,
and what comes late is not stored. So the lines of a run depend on what was said, not on the order
in which it arrived or how often.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

import orjson
from sqlalchemy import Connection, Text, bindparam, delete, insert, select, update

from esper.contracts.events import AnyEvent
from esper.contracts.records import AnyRecord, LineRefusedError, RunLine, RunRecords, checked_record
from esper.contracts.runs import StoredLine
from esper.services.nissa import projection
from esper.services.nissa.run_tables import (
    ALERTS,
    ATTEMPTS,
    HEAD,
    LINES,
    MENTIONS,
    POINTS,
    RUNS,
    SERIES,
)

_AT_ONCE: Final = 500
"""Keys in one statement; databases have limits."""

# Statements are put together once: doing it each time would cost more than the database does.
_RUN: Final = bindparam("run", type_=Text)
_MOVE_HEAD: Final = (
    update(HEAD).values(cursor=HEAD.c.cursor + bindparam("count")).returning(HEAD.c.cursor)
)
_ATTEMPTS_OF: Final = select(ATTEMPTS.c.attempt, ATTEMPTS.c.kept).where(ATTEMPTS.c.run_id == _RUN)
_RUN_OF: Final = select(RUNS).where(RUNS.c.run_id == _RUN)
_CHANGE_RUN: Final = update(RUNS).where(RUNS.c.run_id == _RUN)
_STORED: Final = select(LINES.c.position).where(
    LINES.c.run_id == _RUN, LINES.c.position.between(bindparam("first"), bindparam("last"))
)
_STORED_BODIES: Final = (
    select(LINES.c.position, LINES.c.attempt, LINES.c.body)
    .where(LINES.c.run_id == _RUN, LINES.c.position.between(bindparam("first"), bindparam("last")))
    .order_by(LINES.c.position)
)
_SERIES_OF: Final = select(SERIES.c.name, SERIES.c.series_id).where(
    SERIES.c.run_id == _RUN, SERIES.c.name.in_(bindparam("names", expanding=True))
)
_ADD: Final = {table: insert(table) for table in (ATTEMPTS, RUNS, LINES, MENTIONS, SERIES, POINTS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedLine:
    """A line that the store did not have."""

    run_id: str
    """Its run."""
    line: StoredLine
    """The line, with its cursor."""
    record: AnyRecord | AnyEvent | None
    """What it says; None where its kind is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Lines as they were sent, those apart that break the bounds of their kind."""

    records: RunRecords
    """The lines of one attempt of a run."""
    at: datetime
    """When they were sent, UTC."""
    trace_id: str
    """Trace that they belong to."""
    read: Mapping[int, AnyRecord | AnyEvent | None]
    """What the lines say, by position."""
    refused: Mapping[int, str]
    """Why lines are not taken in, by position."""

    @classmethod
    def of(cls, records: RunRecords, at: datetime, trace_id: str) -> Self:
        """Read lines that were sent."""
        read: dict[int, AnyRecord | AnyEvent | None] = {}
        refused: dict[int, str] = {}
        for line in records.lines:
            try:
                read[line.position] = checked_record(dict(line.body))
            except LineRefusedError as error:
                refused[line.position] = str(error)
        if refused:
            kept = tuple(line for line in records.lines if line.position not in refused)
            records = records.model_copy(update={"lines": kept})
        return cls(records=records, at=at, trace_id=trace_id, read=read, refused=refused)


Attempts = Mapping[int, int]
"""Attempt of a run -> bytes of the earlier attempts' log that it kept."""


def take_in(connection: Connection, batches: Sequence[Batch]) -> list[AddedLine]:
    """Store what is new; return it in the order of its cursors."""
    cursor = _next_cursor(connection, sum(len(batch.records.lines) for batch in batches))
    by_run: defaultdict[str, list[Batch]] = defaultdict(list)
    for batch in batches:
        by_run[batch.records.run_id].append(batch)
    new: list[AddedLine] = []
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


def contradiction(connection: Connection, batches: Sequence[Batch]) -> int | None:
    """Return the first byte at which a stored run says something else than these lines of it do.

    Lines of one attempt are the same wherever they are read. The first line tells the run: it may
    differ in nothing but the machine that a run was begun again on.
    """
    for batch in batches:
        lines = {line.position: line.body for line in batch.records.lines}
        found = connection.execute(
            _STORED_BODIES,
            {
                "run": batch.records.run_id,
                "first": min(lines, default=0),
                "last": max(lines, default=0),
            },
        )
        for position, attempt, text in found:
            told, stored = dict(lines.get(position) or {}), orjson.loads(text)
            if position == 0:
                told.pop("environment", None)
                stored.pop("environment", None)
            elif attempt != batch.records.attempt:
                continue
            if told != stored:
                return int(position)
    return None


def is_void(attempt: int, position: int, attempts: Attempts) -> bool:
    """Return whether a later attempt began at or before the line."""
    return any(later > attempt and kept <= position for later, kept in attempts.items())


def _next_cursor(connection: Connection, count: int) -> int:
    # Also holds the row until the end: nobody else takes lines in meanwhile.
    return int(connection.execute(_MOVE_HEAD, {"count": count}).scalar_one()) - count + 1


def _note_attempts(connection: Connection, run_id: str, batches: Iterable[Batch]) -> Attempts:
    found = connection.execute(_ATTEMPTS_OF, {"run": run_id})
    known: dict[int, int] = {row.attempt: row.kept for row in found}
    heard = {batch.records.attempt: batch.records.kept for batch in batches}
    news = {attempt: kept for attempt, kept in heard.items() if attempt not in known}
    if news:
        rows = [{"run_id": run_id, "attempt": a, "kept": kept} for a, kept in news.items()]
        connection.execute(_ADD[ATTEMPTS], rows)
        for attempt, kept in news.items() if known else ():
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
    if connection.execute(delete(LINES).where(void)).rowcount:
        connection.execute(
            update(RUNS).where(RUNS.c.run_id == run_id).values(voids=RUNS.c.voids + 1)
        )


def _note_run(connection: Connection, run_id: str, batches: Sequence[Batch]) -> None:
    bodies = (line.body for batch in batches for line in batch.records.lines)
    names = [name for name in map(projection.name_of, bodies) if name]
    times = [batch.at.timestamp() for batch in batches]
    places = [(batch.records.attempt, batch.records.folder) for batch in batches]
    known = connection.execute(_RUN_OF, {"run": run_id}).first()
    if known is not None:
        names.insert(0, known.name)
        times += [known.started_at, known.updated_at]
        places.append((known.attempt, known.folder))
    # Of the newest attempt, where somebody said where its folder is.
    attempt, folder = max(places, key=lambda place: (place[0], bool(place[1])))
    row: dict[str, Any] = {
        "name": next(filter(None, names), ""),
        "folder": folder,
        "attempt": attempt,
        "started_at": min(times),
        "updated_at": max(times),
    }
    if known is None:
        connection.execute(_ADD[RUNS], {"run_id": run_id, "voids": 0, **row})
    else:
        connection.execute(_CHANGE_RUN, {"run": run_id, **row})


def _fresh(
    connection: Connection, run_id: str, batches: Iterable[Batch], attempts: Attempts
) -> list[tuple[Batch, RunLine]]:
    """Return the lines that are neither void nor stored already, in the order of the run's log.

    They came topic by topic: whoever follows them must not see a step before what happened earlier.
    """
    fresh: dict[int, tuple[Batch, RunLine]] = {}
    for batch in batches:
        for line in batch.records.lines:
            if not is_void(batch.records.attempt, line.position, attempts):
                fresh.setdefault(line.position, (batch, line))
    if fresh:
        within = {"run": run_id, "first": min(fresh), "last": max(fresh)}
        for position in connection.execute(_STORED, within).scalars():
            fresh.pop(position, None)
    return [fresh[position] for position in sorted(fresh)]


def _store(
    connection: Connection, run_id: str, fresh: Sequence[tuple[Batch, RunLine]], cursor: int
) -> list[AddedLine]:
    if not fresh:
        return []
    new, rows, points, mentions = [], [], [], []
    for number, (batch, line) in enumerate(fresh, start=cursor):
        stored = StoredLine.model_construct(
            cursor=number,
            position=line.position,
            attempt=batch.records.attempt,
            at=batch.at,
            trace_id=batch.trace_id,
            body=line.body,
        )
        row = _row(run_id, stored)
        new.append(AddedLine(run_id=run_id, line=stored, record=batch.read[line.position]))
        rows.append(row)
        place = {key: row[key] for key in ("cursor", "step", "position")}
        points += [
            {"name": name, "value": value, **place}
            for name, value in projection.figures_of(line.body)
        ]
        mentions += [
            {"kernel_id": kernel_id, "run_id": run_id, "position": line.position}
            for kernel_id in projection.kernels_of(line.body, row["body"])
        ]
    ids = _series_ids(connection, run_id, sorted({point["name"] for point in points}))
    points = [{"series_id": ids[point.pop("name")], **point} for point in points]
    for table, added in ((LINES, rows), (MENTIONS, mentions), (POINTS, points)):
        if added:
            connection.execute(_ADD[table], added)
    return new


def _row(run_id: str, line: StoredLine) -> dict[str, Any]:
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
        "body": orjson.dumps(line.body).decode(),
    }


def _series_ids(connection: Connection, run_id: str, names: Sequence[str]) -> dict[str, int]:
    known = _known_series(connection, run_id, names)
    missing = [{"run_id": run_id, "name": name} for name in names if name not in known]
    if missing:
        connection.execute(_ADD[SERIES], missing)
        known = _known_series(connection, run_id, names)
    return known


def _known_series(connection: Connection, run_id: str, names: Sequence[str]) -> dict[str, int]:
    known: dict[str, int] = {}
    for begin in range(0, len(names), _AT_ONCE):
        wanted = {"run": run_id, "names": names[begin : begin + _AT_ONCE]}
        known.update((name, number) for name, number in connection.execute(_SERIES_OF, wanted))
    return known
