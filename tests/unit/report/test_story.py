from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.enums import RunState, Verdict
from esper.contracts.growth import GrowthReport, LayerRecord
from esper.report import story
from esper.report.run_account import RunAccount
from esper.report.run_folder import read_run
from esper.report.slot_lives import slot_lives
from esper.report.story import now
from samples.run_folders import grown_report, static_report, write_run
from support import told_runs


def told(folder: Path, report: GrowthReport) -> story.Story:
    return story.tell(read_run(write_run(folder, report)).account)


def test_the_headline_says_what_was_added_where_and_what_it_bought(tmp_path: Path) -> None:
    tale = told(tmp_path, grown_report())
    assert tale.grown
    for part in ("conv1d_stack/m", "took over layer “0”", "Linear 40 → 100", "just before"):
        assert part in tale.headline


def test_the_reason_gives_the_gain_its_interval_and_the_control(tmp_path: Path) -> None:
    text = " ".join(told(tmp_path, grown_report()).sentences)
    for part in ("+73.5\u202f%", "+71.0\u202f% to +76.0\u202f%", "fresh copy", "+70.0\u202f%"):
        assert part in text


def test_a_run_in_which_nothing_grew_says_so_and_why(tmp_path: Path) -> None:
    tale = told(tmp_path, static_report())
    assert not tale.grown
    assert tale.headline.startswith("Nothing was added")
    text = " ".join(tale.sentences)
    assert "swiglu/m" in text
    assert "rent of 2.0\u202f%" in text


def test_a_graft_that_was_taken_out_is_not_hidden(tmp_path: Path) -> None:
    report = grown_report()
    culled = report.decisions[1].model_copy(
        update={"verdict": Verdict.CULL, "reason": "it got worse"}
    )
    report = report.model_copy(
        update={"decisions": (report.decisions[0], culled), "after": report.before}
    )
    tale = told(tmp_path, report)
    assert not tale.grown
    assert "taken out again" in tale.headline
    assert "it got worse" in " ".join(tale.sentences)
    assert "exactly as it would have" not in " ".join(tale.sentences)


def test_a_run_without_any_race_says_that_it_saw_no_reason(tmp_path: Path) -> None:
    report = static_report().model_copy(update={"races": (), "decisions": ()})
    assert "never saw a reason" in told(tmp_path, report).headline


def test_kernels_that_others_put_in_are_not_called_nothing(tmp_path: Path) -> None:
    report = static_report()
    kernel = LayerRecord(name="0", kind="conv1d/m", detail="", parameters=90, grown=True)
    report = report.model_copy(update={"after": (*report.before, kernel)})
    tale = told(tmp_path / "static", report)
    assert tale.headline.endswith("Put in from outside: conv1d/m at layer “0”.")
    assert "exactly as it would have" not in " ".join(tale.sentences)
    grown = grown_report()
    second = kernel.model_copy(update={"name": "4"})
    grown = grown.model_copy(update={"after": (*grown.after, second)})
    tale = told(tmp_path / "grown", grown)
    assert tale.grown
    assert "Put in from outside: conv1d/m at layer “4”." in tale.sentences


def test_a_kernel_that_is_being_grafted_came_from_the_run_itself() -> None:
    report = grown_report()
    assert report.put_in_from_outside == ()
    under_way = report.model_copy(update={"decisions": report.decisions[:1]})
    assert under_way.put_in_from_outside == ()


def test_a_single_run_never_claims_more_than_a_single_run(tmp_path: Path) -> None:
    for name, report in (("a", grown_report()), ("b", static_report())):
        assert "one run (seed 0)" in told(tmp_path / name, report).sentences[-1]


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
