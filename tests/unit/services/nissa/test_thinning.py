from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from esper.services.nissa.thinning import curve_of

VALUES = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=300)


@given(values=VALUES, points=st.integers(2, 50))
def test_a_thinned_curve_keeps_its_extremes_and_has_no_point_of_its_own(
    values: list[float], points: int
) -> None:
    curve = curve_of("x", np.arange(len(values)) * 3, np.array(values), points)
    assert len(curve.steps) <= max(points, 2)
    assert curve.points == len(values)
    assert list(curve.steps) == sorted(set(curve.steps))
    for step, value in zip(curve.steps, curve.values, strict=True):
        original = values[step // 3]
        assert value == original or (value is None and np.isnan(original))
    finite = [value for value in values if np.isfinite(value)]
    if finite:
        assert min(finite) in curve.values
    if len(finite) < len(values):
        assert None in curve.values
    elif finite:
        assert max(finite) in curve.values


def test_of_a_step_that_stands_there_twice_the_last_counts() -> None:
    curve = curve_of("x", np.array([1, 1, 2]), np.array([5.0, 6.0, 7.0]), 10)
    assert (curve.steps, curve.values, curve.points) == ((1, 2), (6.0, 7.0), 2)


def test_an_empty_curve_is_empty() -> None:
    curve = curve_of("x", np.empty(0, dtype=np.int64), np.empty(0), 10)
    assert (curve.steps, curve.values, curve.points) == ((), (), 0)
