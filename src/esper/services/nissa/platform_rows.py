"""Rows about the platform: alerts, components, builds. Each write may come twice or late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, false, select, update
from sqlalchemy.dialects import postgresql, sqlite

from esper.contracts.platform_events import (
    Acknowledgement,
    Alert,
    BuildFinished,
    BuildStarted,
    ComponentHealth,
)
from esper.contracts.runs import BuildView, ComponentView
from esper.services.nissa.run_tables import ALERTS, BUILDS, COMPONENTS

_INTERVALS = 3
"""So many intervals without a word, and a component counts as lost."""


AnyDocument = Alert | BuildStarted | BuildFinished | ComponentHealth
"""What is kept of the platform."""


def save(connection: Connection, told: AnyDocument, at: datetime) -> None:
    """Keep what was said at a time, unless something newer is known.

    An alert that has ended stays ended, and who has seen it stays.
    """
    row: dict[str, Any] = {"document": told.model_dump_json()}
    key: dict[str, Any]
    newer: ColumnElement[bool]
    match told:
        case Alert():
            table, key, newer = ALERTS, {"alert_id": told.alert_id}, ALERTS.c.ended_at.is_(None)
            row |= {
                "run_id": told.run_id,
                "raised_at": told.raised_at.timestamp(),
                "ended_at": None if told.ended_at is None else told.ended_at.timestamp(),
            }
        case ComponentHealth():
            table, key = COMPONENTS, {"component": told.component.value, "instance": told.instance}
            newer = COMPONENTS.c.seen_at <= at.timestamp()
            row["seen_at"] = at.timestamp()
        case BuildStarted() | BuildFinished():
            table, newer = BUILDS, false()
            key = {name: getattr(told, name) for name in ("blueprint_id", "worker", "kind")}
            key["at"] = at.timestamp()
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(
        insert(table)
        .values(key | row)
        .on_conflict_do_update(index_elements=list(key), set_=row, where=newer)
    )


def acknowledge(connection: Connection, alert_id: str, by: Acknowledgement) -> Alert | None:
    """Note who has seen an alert, unless somebody had before; None where there is no such alert."""
    is_it = ALERTS.c.alert_id == alert_id
    change = update(ALERTS).where(is_it, ALERTS.c.acknowledged.is_(None))
    connection.execute(change.values(acknowledged=by.model_dump_json()))
    row = connection.execute(select(ALERTS).where(is_it)).first()
    return None if row is None else alert_of(row)


def alert_of(row: Row[tuple[Any, ...]]) -> Alert:
    """Return an alert, with who has seen it."""
    alert = Alert.model_validate_json(row.document)
    if row.acknowledged is None:
        return alert
    by = Acknowledgement.model_validate_json(row.acknowledged)
    return alert.model_copy(update={"acknowledged": by})


def view_of(row: Row[tuple[Any, ...]], now: float) -> ComponentView:
    """Return a component as it was last heard of."""
    health = ComponentHealth.model_validate_json(row.document)
    silent = now - row.seen_at > _INTERVALS * health.interval_seconds
    return ComponentView(
        health=health,
        seen_at=datetime.fromtimestamp(row.seen_at, UTC),
        lost=silent and not health.leaving,
    )


def builds_of(rows: Iterable[Row[tuple[Any, ...]]]) -> Sequence[BuildView]:
    """Join beginnings and ends of builds, the newest first.

    Args:
        rows: The newest first. The end of a build is the first that its worker reported after it.
    """
    builds: list[BuildView] = []
    ends: dict[tuple[str, str], int] = {}
    """Where in `builds` those are whose beginning is not found yet."""
    for row in rows:
        key, at = (row.blueprint_id, row.worker), datetime.fromtimestamp(row.at, UTC)
        if row.kind == "BuildFinished":
            end = BuildFinished.model_validate_json(row.document)
            ends[key] = len(builds)
            told = end.model_dump(exclude={"version", "kind"})
            builds.append(BuildView(**told, started_at=None, ended_at=at))
        elif key in ends:
            number = ends.pop(key)
            builds[number] = builds[number].model_copy(update={"started_at": at})
        else:
            builds.append(BuildView(blueprint_id=key[0], worker=key[1], started_at=at))
    return sorted(builds, key=_newest, reverse=True)


def _newest(build: BuildView) -> datetime:
    return build.started_at or build.ended_at or datetime.min.replace(tzinfo=UTC)
