"""Curves: thinned out so that what stands out stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from esper.contracts.runs import Curve


def curve_of(name: str, steps: Sequence[int], values: Sequence[float], points: int) -> Curve:
    """Return a curve of at most `points` points.

    Args:
        name: Its name.
        steps: In order; of a step that stands there several times the last counts.
        values: One for each step, NaN where it was not finite.
        points: 2 or more. A longer curve is cut into stretches of equally many points, each of
            which gives its lowest and its highest.
    """
    at, value = np.asarray(steps, dtype=np.int64), np.asarray(values, dtype=np.float64)
    if len(at):
        last = np.append(at[1:] != at[:-1], [True])
        at, value = at[last], value[last]
    held = len(at)
    if held > points:
        kept = _extremes(value, max(points // 2, 1))
        at, value = at[kept], value[kept]
    finite = np.isfinite(value)
    return Curve(
        name=name,
        steps=tuple(at.tolist()),
        values=tuple(
            v if ok else None for v, ok in zip(value.tolist(), finite.tolist(), strict=True)
        ),
        points=held,
    )


def _extremes(value: NDArray[np.float64], stretches: int) -> NDArray[np.int64]:
    """Positions of the lowest and the highest value of each stretch; not finite is highest."""
    width = -(-len(value) // stretches)
    begin = np.arange(0, len(value), width)
    filled = np.full(len(begin) * width, np.nan)
    filled[: len(value)] = value
    missing = np.isnan(filled)
    lowest = np.where(missing, np.inf, filled).reshape(-1, width)
    # Where the curve is broken must be seen; what only fills up the last stretch must not.
    missing[len(value) :] = False
    filled[len(value) :] = -np.inf
    highest = np.where(missing, np.inf, filled).reshape(-1, width)
    both = (begin + lowest.argmin(axis=1), begin + highest.argmax(axis=1))
    return np.unique(np.concatenate(both))
