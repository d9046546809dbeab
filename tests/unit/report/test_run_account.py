from __future__ import annotations

from esper.contracts.enums import RunState
from esper.report.run_account import RunAccount, differences
from support import told_runs


def test_a_closed_run_is_told_by_its_own_growth_record() -> None:
    assert told_runs.finished().growth == told_runs.REPORT


def test_before_the_end_the_record_is_put_together_from_what_happened_so_far() -> None:
    evals = [told_runs.evaluated(200, 0.5), told_runs.evaluated(400, 0.6)]
    growth = told_runs.account(evals, told_runs.race_lines(), told_runs.decided()).growth
    assert [point.growth_metric for point in growth.curve] == [0.5, 0.6]
    assert growth.decisions == told_runs.REPORT.decisions[:1]
    assert growth.cost == told_runs.REPORT.cost
    (race,) = growth.races
    assert race.entrants == told_runs.RACE.entrants
    assert [mark.standings for mark in race.rungs] == [m.standings for m in told_runs.RACE.rungs]
    assert (race.start, race.end) == (600, 1_600)


def test_a_race_is_open_until_it_is_decided_and_only_while_the_run_lives() -> None:
    race = told_runs.race_lines()
    assert told_runs.account(race).open_race is not None
    assert told_runs.account(race, state=RunState.LOST).open_race is None
    assert told_runs.account(race, told_runs.decided()).open_race is None


def test_a_run_of_which_nothing_is_known_has_an_empty_account() -> None:
    bare = RunAccount(lines=(), state=RunState.RUNNING)
    assert bare.start is None
    assert bare.host.layers == ()
    assert bare.growth.races == ()
    assert bare.result == {}
    assert (bare.step, bare.name, bare.metric_now, bare.compute) == (0, "run", None, None)


def test_a_failure_is_told_only_of_a_run_that_ended_with_it() -> None:
    failed = [{"type": "failed", "step": 700, "error": "out of memory"}]
    assert told_runs.account(failed, state=RunState.FAILED).failure == "out of memory"
    assert told_runs.account(failed, state=RunState.RUNNING).failure is None


def test_a_layer_is_found_by_its_name() -> None:
    run = told_runs.finished()
    found = run.layer("2")
    assert found is not None
    assert found.kind == "Linear"
    assert run.layer("no such layer") is None


def test_just_before_growth_is_the_last_evaluation_before_the_graft_even_during_its_race() -> None:
    evals = [told_runs.evaluated(step, step / 10_000) for step in (500, 1_000, 1_500, 1_700)]
    parts = (told_runs.race_lines(), told_runs.decided(), told_runs.graft_lines())
    run = told_runs.account(evals, *parts, step=1_750)
    assert (run.metric_before, run.metric_now) == (0.15, 0.17)


def test_the_curve_of_a_closed_run_is_the_log_s_not_the_report_s() -> None:
    evals = [told_runs.evaluated(step, 0.5) for step in (900, 1_500)]
    run = told_runs.account(evals, told_runs.end_lines(), state=RunState.FINISHED)
    assert [point.step for point in run.growth.curve] == [900, 1_500]
    assert run.growth.decisions == told_runs.REPORT.decisions


def test_a_model_has_the_parameters_that_the_newest_kernel_left() -> None:
    parts = (told_runs.race_lines(), told_runs.decided(), told_runs.graft_lines())
    before = told_runs.account(*parts).growth
    after = told_runs.account(*parts, told_runs.fossil_lines()).growth
    assert (before.parameters_before, before.parameters_after) == (15_210, 15_210)
    assert after.parameters_after == 32_610


def test_settings_that_differ_are_told_by_their_dotted_names() -> None:
    one = {"seed": 0, "optimizer": {"lr": 0.1, "name": "adamw"}}
    two = {"seed": 0, "optimizer": {"lr": 0.2, "name": "adamw"}, "extra": True}
    assert differences([one, two]) == {"optimizer.lr": [0.1, 0.2], "extra": [None, True]}
    assert differences([one, one]) == {}
