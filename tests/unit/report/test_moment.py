from __future__ import annotations

import pytest

from esper.contracts.enums import RunState
from esper.report.moment import now
from esper.report.run_account import RunAccount
from esper.report.slot_lives import slot_lives
from support import told_runs


def said(run: RunAccount) -> str:
    return now(run, slot_lives(run))


def test_a_kernel_that_is_being_blended_in_is_told() -> None:
    parts = (told_runs.race_lines(), told_runs.decided(), told_runs.graft_lines())
    assert "is being blended into layer “0”" in said(told_runs.account(*parts))


def test_an_open_race_is_told_with_its_leader_and_without_its_fresh_copies() -> None:
    text = said(told_runs.account(told_runs.race_lines()[:2]))
    assert "Race 1 is on: 10 candidates" in text
    assert "leads with a held-out gain of +" in text
    assert "still to come" in said(told_runs.account(told_runs.race_lines()[:1]))


@pytest.mark.parametrize(
    ("state", "word"), [(RunState.INTERRUPTED, "--resume"), (RunState.LOST, "not been heard of")]
)
def test_a_run_that_stands_still_says_why(state: RunState, word: str) -> None:
    assert word in said(told_runs.account(state=state))


def test_a_failed_run_says_its_error() -> None:
    failed = [{"type": "failed", "step": 700, "error": "out of memory"}]
    assert "out of memory" in said(told_runs.account(failed, state=RunState.FAILED))


def test_a_run_that_is_over_or_must_not_grow_has_nothing_going_on() -> None:
    assert said(told_runs.finished()) == ""
    off = told_runs.start(config={"grow": False})
    run = told_runs.account([off])
    assert said(RunAccount(lines=run.lines[1:], state=RunState.RUNNING)) == ""
