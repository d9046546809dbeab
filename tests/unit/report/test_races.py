from __future__ import annotations

from esper.report.races import races
from support import told_runs


def test_standings_show_every_candidate_at_every_mark() -> None:
    (race,) = races(told_runs.finished())
    assert len(race.runners) == len(told_runs.RACE.entrants)
    assert race.marks == [rung.step for rung in told_runs.RACE.rungs]
    for mark, rung in enumerate(told_runs.RACE.rungs):
        shown = [one.marks[mark] for one in race.runners if one.marks[mark] is not None]
        assert sorted(place.rank for place in shown) == list(range(1, len(rung.standings) + 1))


def test_who_came_furthest_comes_first_and_the_winner_is_marked() -> None:
    (race,) = races(told_runs.finished())
    assert race.runners[0].name == told_runs.WINNER.title
    assert [one.outcome for one in race.runners].count("won") == 1
    assert race.runners[0].outcome == "won"


def test_controls_are_neither_winners_nor_losers() -> None:
    (race,) = races(told_runs.finished())
    controls = [one for one in race.runners if one.name == "fresh copy of the layer"]
    assert {one.outcome for one in controls} == {"control"}
    assert race.entrants == len(race.runners) - len(controls)


def test_a_race_that_goes_on_has_marks_to_come_and_no_end() -> None:
    (race,) = races(told_runs.account(told_runs.race_lines()[:2]))
    assert race.end is None
    assert (len(race.marks), race.planned_marks) == (1, 3)
    outcomes = {one.outcome for one in race.runners}
    assert outcomes == {"racing", "out", "control"}


def test_before_the_first_mark_everybody_races() -> None:
    (race,) = races(told_runs.account(told_runs.race_lines()[:1]))
    assert {one.outcome for one in race.runners} == {"racing", "control"}
    assert all(one.marks == [] for one in race.runners)


def test_a_candidate_that_blew_up_has_no_bar_and_no_gain() -> None:
    (race,) = races(told_runs.finished())
    (broken,) = [one for one in race.runners if one.name.startswith("fourier")]
    assert broken.marks[0] is not None
    assert (broken.marks[0].standing.net_gain, broken.marks[0].bar) == (None, 0.0)


def test_bars_are_parts_of_the_largest_gain() -> None:
    (race,) = races(told_runs.finished())
    bars = [mark.bar for one in race.runners for mark in one.marks if mark is not None]
    assert max(bars) == 1.0
    assert min(bars) == 0.0
