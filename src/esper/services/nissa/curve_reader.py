"""Curves: points read once, remembered while they are asked for, and thinned out.

A page that shows a run asks for the same curves every half second, and a long one takes a tenth of
a second to be read. So what was read stays in memory, and only what is newer is fetched.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, select

from esper.contracts.runs import Curve
from esper.services.nissa.run_tables import POINTS, RUNS, SERIES
from esper.services.nissa.thinning import curve_of

_REMEMBERED: Final = 2_000_000
"""Points that are kept in memory at most, 32 bytes each."""

_SERIES: Final = (
    select(SERIES.c.series_id, RUNS.c.voids)
    .join(RUNS, RUNS.c.run_id == SERIES.c.run_id)
    .where(SERIES.c.run_id == bindparam("run"), SERIES.c.name == bindparam("name"))
)
_NEWER: Final = (
    select(POINTS.c.cursor, POINTS.c.step, POINTS.c.position, POINTS.c.value)
    .where(POINTS.c.series_id == bindparam("series"), POINTS.c.cursor > bindparam("cursor"))
    .order_by(POINTS.c.cursor)
)


@dataclass(frozen=True)
class _Points:
    """Points of one series, in the order of step and position. All arrays have shape (N,)."""

    series_id: int
    voids: int
    cursor: int
    steps: NDArray[np.int64]
    positions: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def none(cls, series_id: int, voids: int) -> _Points:
        nothing = np.empty(0, dtype=np.int64)
        return cls(series_id, voids, -1, nothing, nothing, np.empty(0))

    def with_newer(self, rows: list[tuple[Any, ...]]) -> _Points:
        """Return these and newer ones; None is NaN."""
        newer = np.array(rows, dtype=np.float64)
        steps = np.concatenate([self.steps, newer[:, 1].astype(np.int64)])
        positions = np.concatenate([self.positions, newer[:, 2].astype(np.int64)])
        values = np.concatenate([self.values, newer[:, 3]])
        order = np.lexsort((positions, steps))
        cursor = int(rows[-1][0])
        return _Points(
            self.series_id, self.voids, cursor, steps[order], positions[order], values[order]
        )


@dataclass
class CurveReader:
    """Reads curves of one store. Only one thread may use it at a time."""

    _kept: OrderedDict[tuple[str, str], _Points] = field(default_factory=OrderedDict)

    def read(
        self,
        connection: Connection,
        run_id: str,
        name: str,
        points: int,
        since: int,
        until: int | None = None,
    ) -> Curve:
        """Return a curve between two steps, of at most `points` points; an unknown one is empty."""
        found = connection.execute(_SERIES, {"run": run_id, "name": name}).first()
        if found is None:
            self._kept.pop((run_id, name), None)
            return Curve(name=name, steps=(), values=(), points=0)
        known = self._kept.get((run_id, name))
        if known is None or (known.series_id, known.voids) != tuple(found):
            known = _Points.none(*found)
        rows = _fetch(connection, known)
        if rows:
            known = known.with_newer(rows)
        self._remember((run_id, name), known)
        kept = slice(
            int(np.searchsorted(known.steps, since)),
            None if until is None else int(np.searchsorted(known.steps, until, side="right")),
        )
        return curve_of(name, known.steps[kept], known.values[kept], points)

    def _remember(self, key: tuple[str, str], known: _Points) -> None:
        self._kept[key] = known
        self._kept.move_to_end(key)
        held = sum(len(one.steps) for one in self._kept.values())
        while held > _REMEMBERED and len(self._kept) > 1:
            held -= len(self._kept.popitem(last=False)[1].steps)


def _fetch(connection: Connection, known: _Points) -> list[tuple[Any, ...]]:
    result = connection.execute(_NEWER, {"series": known.series_id, "cursor": known.cursor})
    assert result.cursor is not None
    # From the driver: a hundred thousand rows of SQLAlchemy's own take twice as long.
    rows = list(result.cursor.fetchall())
    result.close()
    return rows
