"""Rows about the platform: alerts, components, builds. Each write may come twice or late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, insert, select, update

from esper.contracts.platform_events import (
    Acknowledgement,
    Alert,
    BuildFinished,
    BuildStarted,
    ComponentHealth,
)
from esper.contracts.runs import BuildView, ComponentView
from esper.services.nissa.run_tables import ALERTS, BUILDS, COMPONENTS, HEAD

_INTERVALS = 3
"""So many intervals without a word, and a component counts as lost."""


def save_component(connection: Connection, health: ComponentHealth, at: datetime) -> None:
    """Keep what a component said, unless something newer is known."""
    key = {"component": health.component.value, "instance": health.instance}
    row = {"seen_at": at.timestamp(), "document": health.model_dump_json()}
    known = _known(connection, COMPONENTS, key)
    if known is None or known.seen_at <= row["seen_at"]:
        _put(connection, COMPONENTS, key, row, is_known=known is not None)


def save_alert(connection: Connection, alert: Alert) -> None:
    """Keep an alert; one that has ended stays ended."""
    row = {
        "run_id": alert.run_id,
        "raised_at": alert.raised_at.timestamp(),
        "ended_at": None if alert.ended_at is None else alert.ended_at.timestamp(),
        "document": alert.model_dump_json(),
    }
    known = _known(connection, ALERTS, {"alert_id": alert.alert_id})
    if known is None or known.ended_at is None:
        _put(connection, ALERTS, {"alert_id": alert.alert_id}, row, is_known=known is not None)


def acknowledge(connection: Connection, alert_id: str, by: Acknowledgement) -> Alert | None:
    """Note who has seen an alert, unless somebody had before; None where there is no such alert."""
    row = _known(connection, ALERTS, {"alert_id": alert_id})
    if row is None:
        return None
    alert = alert_of(row)
    if alert.acknowledged is not None:
        return alert
    change = update(ALERTS).where(ALERTS.c.alert_id == alert_id)
    connection.execute(change.values(acknowledged=by.model_dump_json()))
    return alert.model_copy(update={"acknowledged": by})


def alert_of(row: Row[tuple[Any, ...]]) -> Alert:
    """Return an alert, with who has seen it."""
    alert = Alert.model_validate_json(row.document)
    if row.acknowledged is None:
        return alert
    by = Acknowledgement.model_validate_json(row.acknowledged)
    return alert.model_copy(update={"acknowledged": by})


def save_build(connection: Connection, build: BuildStarted | BuildFinished, at: datetime) -> None:
    """Keep one end of a build."""
    key = {
        "blueprint_id": build.blueprint_id,
        "worker": build.worker,
        "kind": build.kind,
        "at": at.timestamp(),
    }
    if _known(connection, BUILDS, key) is None:
        _put(connection, BUILDS, key, {"document": build.model_dump_json()}, is_known=False)


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
    ends: dict[tuple[str, str], tuple[datetime, BuildFinished]] = {}
    builds = []
    for row in rows:
        key, at = (row.blueprint_id, row.worker), datetime.fromtimestamp(row.at, UTC)
        if row.kind == "BuildFinished":
            if key in ends:
                builds.append(_build(key, None, ends.pop(key)))
            ends[key] = (at, BuildFinished.model_validate_json(row.document))
        else:
            builds.append(_build(key, at, ends.pop(key, None)))
    builds += [_build(key, None, end) for key, end in ends.items()]
    return sorted(builds, key=_newest, reverse=True)


def _build(
    key: tuple[str, str], started_at: datetime | None, end: tuple[datetime, BuildFinished] | None
) -> BuildView:
    return BuildView(
        blueprint_id=key[0],
        worker=key[1],
        started_at=started_at,
        ended_at=None if end is None else end[0],
        seconds=None if end is None else end[1].seconds,
        kernel_id=None if end is None else end[1].kernel_id,
        reason="" if end is None else end[1].reason,
    )


def _newest(build: BuildView) -> datetime:
    return build.started_at or build.ended_at or datetime.min.replace(tzinfo=UTC)


def _known(connection: Connection, table: Table, key: dict[str, Any]) -> Row[Any] | None:
    # The head's row is held to the end: nobody else writes between the look and the change.
    connection.execute(update(HEAD).values(cursor=HEAD.c.cursor))
    return connection.execute(select(table).where(*_is(table, key))).first()


def _put(
    connection: Connection,
    table: Table,
    key: dict[str, Any],
    row: dict[str, Any],
    *,
    is_known: bool,
) -> None:
    if is_known:
        connection.execute(update(table).where(*_is(table, key)).values(row))
    else:
        connection.execute(insert(table).values({**key, **row}))


def _is(table: Table, key: dict[str, Any]) -> list[Any]:
    return [table.c[name] == value for name, value in key.items()]
