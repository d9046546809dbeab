"""Summaries: runs as they stand, read out of their newest lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from pydantic import ValidationError
from sqlalchemy import ColumnElement, Row, Select, case, func, or_, select
from sqlalchemy.sql.selectable import ScalarSelect

from esper.contracts.base import HIGHEST, MOST_STEPS, as_name
from esper.contracts.enums import RunState
from esper.contracts.runs import RunSummary
from esper.services.nissa.nissa_config import LOST_AFTER_SECONDS
from esper.services.nissa.projection import Body, mapping, number
from esper.services.nissa.run_tables import LINES, RUNS
from esper.utils.logging import get_logger

_log = get_logger("nissa")

_NEWEST: Final[Mapping[str, tuple[str, str]]] = {
    "start_body": ("start", ""),
    "step_body": ("step", ""),
    "eval_body": ("eval", ""),
    "end_body": ("end", ""),
    "fossil_body": ("event", "SeedFossilized"),
}
_COUNTED: Final[Mapping[str, str]] = {
    "races": "RaceDecided",
    "fossilized": "SeedFossilized",
    "culled": "SeedCulled",
}


def chosen(
    now: float, *, state: RunState | None = None, text: str | None = None
) -> Select[tuple[Any, ...]]:
    """Select what `summary_of` reads, the runs that began last first.

    Args:
        now: Present time, seconds since the epoch.
        state: Only runs in this state.
        text: Only runs whose name, id or folder contains it, in whatever case.
    """
    of_state = _state(now)
    query = select(
        RUNS,
        of_state.label("state"),
        _newest(LINES.c.step).label("step"),
        *(_newest(LINES.c.body, *words).label(label) for label, words in _NEWEST.items()),
        *(_count(kind).label(label) for label, kind in _COUNTED.items()),
    ).order_by(RUNS.c.started_at.desc(), RUNS.c.run_id)
    if state is not None:
        query = query.where(of_state == state.value)
    if text:
        places = (RUNS.c.name, RUNS.c.run_id, RUNS.c.folder)
        query = query.where(or_(*(place.icontains(text, autoescape=True) for place in places)))
    return query


def summary_of(row: Row[tuple[Any, ...]]) -> RunSummary:
    """Return the run of a row that `chosen` found."""
    start, step, evaluated, end, fossil = (_body(getattr(row, label)) for label in _NEWEST)
    host, result = mapping(start.get("host")), mapping(end.get("result"))
    before = _count_in(host, "parameters")
    return RunSummary(
        run_id=row.run_id,
        name=as_name(row.name),
        state=row.state,
        folder=row.folder,
        attempt=row.attempt,
        started_at=datetime.fromtimestamp(row.started_at, UTC),
        updated_at=datetime.fromtimestamp(row.updated_at, UTC),
        step=min(row.step or 0, MOST_STEPS),
        total_steps=min(_count_in(start, "total_steps"), MOST_STEPS),
        seed=_seed(start),
        metric=as_name(str(start.get("metric", "metric"))),
        higher_is_better=start.get("higher_is_better", result.get("higher_is_better")) is not False,
        train_loss=number(step.get("train_loss")),
        growth_loss=number(evaluated.get("growth_loss")),
        growth_metric=number(evaluated.get("growth_metric")),
        test_loss=number(result.get("test_loss")),
        test_metric=number(result.get("test_metric")),
        parameters_before=before,
        parameters_after=_count_in(result, "parameters_after")
        or _count_in(fossil, "parameters")
        or before,
        races=row.races,
        fossilized=row.fossilized,
        culled=row.culled,
        compute=_compute(evaluated, result),
        seconds=number(result.get("seconds")),
        summary=str(result.get("summary", "")),
    )


def _state(now: float) -> ColumnElement[str]:
    told = func.coalesce(
        select(LINES.c.state)
        .where(LINES.c.run_id == RUNS.c.run_id, LINES.c.state.is_not(None))
        .order_by(LINES.c.position.desc())
        .limit(1)
        .correlate(RUNS)
        .scalar_subquery(),
        # The first line is on its way.
        RunState.RUNNING.value,
    )
    silent = (told == RunState.RUNNING.value) & (RUNS.c.updated_at < now - LOST_AFTER_SECONDS)
    return case((silent, RunState.LOST.value), else_=told)


def _newest(column: ColumnElement[Any], *words: str) -> ScalarSelect[Any]:
    """The column in the run's newest line; `words` are the line's type and kind."""
    of_run = select(column).where(LINES.c.run_id == RUNS.c.run_id)
    if words:
        of_run = of_run.where(LINES.c.type == words[0], LINES.c.kind == words[1])
    return of_run.order_by(LINES.c.position.desc()).limit(1).correlate(RUNS).scalar_subquery()


def _count(kind: str) -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(LINES)
        .where(LINES.c.run_id == RUNS.c.run_id, LINES.c.type == "event", LINES.c.kind == kind)
        .correlate(RUNS)
        .scalar_subquery()
    )


def _body(text: str | None) -> Body:
    return mapping(orjson.loads(text)) if text is not None else {}


def _count_in(body: Body, name: str) -> int:
    value = body.get(name)
    return value if isinstance(value, int) and 0 <= value <= HIGHEST else 0


def _seed(start: Body) -> int | None:
    seed = mapping(start.get("config")).get("seed")
    return seed if isinstance(seed, int) and abs(seed) <= HIGHEST else None


def _compute(evaluated: Body, result: Body) -> float | None:
    told = number(result.get("compute"))
    if told is not None:
        return told
    cost = mapping(evaluated.get("cost"))
    parts = [number(cost.get(name)) for name in ("host", "shadow", "evaluation")]
    static = number(cost.get("static"))
    spent = [part for part in parts if part is not None]
    return sum(spent) / static if static and len(spent) == len(parts) else None


def several(rows: Sequence[Row[tuple[Any, ...]]]) -> list[RunSummary]:
    """Return the runs of rows that `chosen` found.

    A store of an earlier version may hold what is refused today; one such run must not hide the
    others.
    """
    runs: list[RunSummary] = []
    for row in rows:
        try:
            runs.append(summary_of(row))
        except ValidationError as error:
            _log.warning("a stored run cannot be shown", run_id=as_name(row.run_id), why=str(error))
    return runs
