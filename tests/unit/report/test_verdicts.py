from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from esper.contracts.enums import Verdict
from esper.report.verdicts import verdicts
from support import told_runs

GAIN = st.floats(-50, 1)


def test_decisions_keep_their_figures() -> None:
    decisions = told_runs.REPORT.decisions
    for row, decision in zip(verdicts(decisions).rows, decisions, strict=True):
        assert row.against_host is not None
        assert row.against_host.evidence == decision.evidence
        assert (row.step, row.rent, row.reason) == (decision.step, decision.rent, decision.reason)


def test_what_came_in_what_stayed_out_and_what_was_undone_are_told_apart() -> None:
    undone = told_runs.REPORT.decisions[1].model_copy(update={"verdict": Verdict.CULL})
    rows = verdicts([*told_runs.REPORT.decisions, undone]).rows
    assert [row.kind for row in rows] == ["in", "in", "out", "undone"]


def test_a_decision_without_a_measurement_has_no_bar() -> None:
    bare = told_runs.REPORT.decisions[0].model_copy(
        update={"evidence": None, "against_control": None, "candidate": None}
    )
    (row,) = verdicts([bare]).rows
    assert row.against_host is None
    assert (row.what, row.layer) == ("", "")
    assert verdicts([bare]).measured == []


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
    shown = verdicts([decision.model_copy(update={"evidence": changed})])
    bar = shown.rows[0].against_host
    assert bar is not None
    assert 0 <= bar.low <= bar.at <= bar.high <= 100
    assert 0 <= shown.zero <= 100
    assert all(0 <= at <= 100 for _, at in shown.ticks)
