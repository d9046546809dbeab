from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from esper.report.gain_axis import gain_axis
from support import told_runs

GAIN = st.floats(-50, 1)


def test_decisions_without_a_measurement_still_have_an_axis_with_a_zero() -> None:
    bare = told_runs.REPORT.decisions[0].model_copy(
        update={"evidence": None, "against_control": None, "candidate": None}
    )
    assert 0 < gain_axis([bare]).at(0.0) < 100
    assert gain_axis([]) == gain_axis([bare])


@given(GAIN, st.floats(0, 5), st.floats(0, 5))
def test_every_mark_lies_on_the_axis_and_the_interval_holds_the_gain(
    gain: float, below: float, above: float
) -> None:
    decision = told_runs.REPORT.decisions[0]
    evidence = decision.evidence
    assert evidence is not None
    changed = evidence.model_copy(
        update={"gain": gain, "ci_low": gain - below, "ci_high": gain + above}
    )
    axis = gain_axis([decision.model_copy(update={"evidence": changed})])
    low, at, high = (axis.at(value) for value in (changed.ci_low, gain, changed.ci_high))
    assert 0 <= low <= at <= high <= 100
    assert all(0 <= axis.at(value) <= 100 for value in (0.0, *axis.ticks))
