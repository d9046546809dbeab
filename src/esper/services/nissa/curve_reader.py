"""Curves: points read once, remembered while they are asked for, and thinned out.

A page that shows a run asks for the same curves every half second, and a long one takes a tenth of
a second to be read. So what was read stays in memory, and only what is newer is fetched.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

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
_NEWER: Final = select(POINTS.c.cursor, POINTS.c.step, POINTS.c.position, POINTS.c.value).where(
    POINTS.c.series_id == bindparam("series"), POINTS.c.cursor > bindparam("cursor")
)


_ROW: Final = np.dtype([("cursor", "i8"), ("step", "i8"), ("position", "i8"), ("value", "f8")])

_Rows = NDArray[np.void]
"""Points, shape (N,), in the order of step and position; a value that was not finite is NaN."""


class CurveReader:
    """Reads curves of one store. Only one thread may use it at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[tuple[int, int], _Rows]] = OrderedDict()
        """By run and name: series and voids that the points are of, and the points."""

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
        key = (run_id, name)
        found = connection.execute(_SERIES, {"run": run_id, "name": name}).first()
        series, rows = self._kept.pop(key, ((-1, -1), _NOTHING))
        if found is None:
            return Curve(name=name, steps=(), values=(), points=0)
        if series != tuple(found):
            series, rows = (found.series_id, found.voids), _NOTHING
        if len(newer := _newer(connection, found.series_id, rows)):
            rows = np.concatenate([rows, newer])
            rows = rows[np.lexsort((rows["position"], rows["step"]))]
        self._kept[key] = series, rows
        held = sum(len(one) for _, one in self._kept.values())
        while held > _REMEMBERED and len(self._kept) > 1:
            held -= len(self._kept.popitem(last=False)[1][1])
        kept = slice(
            int(np.searchsorted(rows["step"], since)),
            None if until is None else int(np.searchsorted(rows["step"], until, side="right")),
        )
        return curve_of(name, rows["step"][kept], rows["value"][kept], points)


_NOTHING: Final[_Rows] = np.empty(0, dtype=_ROW)


def _newer(connection: Connection, series_id: int, rows: _Rows) -> _Rows:
    cursor = int(rows["cursor"].max(initial=-1))
    result = connection.execute(_NEWER, {"series": series_id, "cursor": cursor})
    assert result.cursor is not None
    # From the driver: a hundred thousand rows of SQLAlchemy's own take twice as long.
    newer = np.array([tuple(row) for row in result.cursor.fetchall()], dtype=_ROW)
    result.close()
    return newer
