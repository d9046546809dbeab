"""Thinning: a curve of at most so many points, in which every peak stays. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esper.contracts.runs import Curve


def curve_of(
    name: str, steps: NDArray[np.int64], values: NDArray[np.float64], points: int
) -> Curve:
    """Return a curve of at most `points` points.

    Args:
        name: Its name.
        steps: Shape (N,), in order; of a step that stands there several times the last counts.
        values: Shape (N,), NaN where it was not finite.
        points: 2 or more. A longer curve is cut into stretches of equally many points, each of
            which gives its lowest and its highest.
    """
    if len(steps):
        last = np.append(steps[1:] != steps[:-1], [True])
        steps, values = steps[last], values[last]
    held = len(steps)
    if held > points:
        kept = _extremes(values, max(points // 2, 1))
        steps, values = steps[kept], values[kept]
    finite = np.isfinite(values)
    return Curve(
        name=name,
        steps=tuple(steps.tolist()),
        values=tuple(
            v if ok else None for v, ok in zip(values.tolist(), finite.tolist(), strict=True)
        ),
        points=held,
    )


def _extremes(values: NDArray[np.float64], stretches: int) -> NDArray[np.int64]:
    """Where each stretch has its lowest and its highest value; one that is missing is highest."""
    width = -(-len(values) // stretches)
    begin = np.arange(0, len(values), width)
    filled = np.full(len(begin) * width, np.nan)
    filled[: len(values)] = values
    missing = np.isnan(filled)
    lowest = np.where(missing, np.inf, filled).reshape(-1, width)
    # Where the curve is broken must be seen; what only fills up the last stretch must not.
    missing[len(values) :] = False
    filled[len(values) :] = -np.inf
    highest = np.where(missing, np.inf, filled).reshape(-1, width)
    both = (begin + lowest.argmin(axis=1), begin + highest.argmax(axis=1))
    return np.unique(np.concatenate(both))
