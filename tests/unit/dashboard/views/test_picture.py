from __future__ import annotations

from esper.dashboard.views.picture import layer_of
from support import told_runs


def test_a_closed_run_is_told_by_its_own_growth_record() -> None:
    assert told_runs.finished().growth == told_runs.REPORT


def test_before_the_end_the_record_is_put_together_from_what_happened_so_far() -> None:
    evals = [told_runs.evaluated(200, 0.5), told_runs.evaluated(400, 0.6)]
    growth = told_runs.picture(evals, told_runs.race_lines(), told_runs.decided()).growth
    assert [point.growth_metric for point in growth.curve] == [0.5, 0.6]
    assert growth.decisions == told_runs.REPORT.decisions[:1]
    assert growth.cost == told_runs.REPORT.cost
    (race,) = growth.races
    assert race.entrants == told_runs.RACE.entrants
    assert [mark.standings for mark in race.rungs] == [m.standings for m in told_runs.RACE.rungs]
    assert (race.start, race.end) == (600, 1_600)


def test_a_race_is_open_until_it_is_decided_and_only_while_the_run_lives() -> None:
    race = told_runs.race_lines()
    assert told_runs.picture(race).open_race is not None
    assert told_runs.picture(race, state="lost").open_race is None
    assert told_runs.picture(race, told_runs.decided()).open_race is None


def test_a_run_of_which_nothing_is_known_has_an_empty_picture() -> None:
    bare = told_runs.picture().__class__(summary=told_runs.summary(), lines=())
    assert bare.start is None
    assert bare.host.layers == ()
    assert bare.growth.races == ()
    assert bare.result == {}


def test_a_failure_is_told_only_of_a_run_that_ended_with_it() -> None:
    failed = [{"type": "failed", "step": 700, "error": "out of memory"}]
    assert told_runs.picture(failed, state="failed").failure == "out of memory"
    assert told_runs.picture(failed, state="running").failure is None


def test_a_layer_is_found_by_its_name() -> None:
    picture = told_runs.finished()
    found = layer_of(picture, "2")
    assert found is not None
    assert found.kind == "Linear"
    assert layer_of(picture, "no such layer") is None
