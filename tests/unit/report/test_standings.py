from __future__ import annotations

from esper.report.standings import label, paths, race_standings, score
from samples.run_folders import race, standing


def test_every_entrant_has_one_path_and_the_winner_comes_first() -> None:
    ways = paths(race(), standing(0, 1.0))
    assert len(ways) == 12
    assert [way.won for way in ways] == [True] + [False] * 11


def test_the_picture_holds_every_candidate_and_its_score_at_every_mark() -> None:
    one = race()
    markup = race_standings(one, standing(0, 1.0)).svg()
    for rung in one.rungs:
        assert f"step {rung.step:,}" in markup
        for place in rung.standings:
            assert label(place).replace("&", "&amp;") in markup
            assert score(place) in markup


def test_a_candidate_that_blew_up_is_shown_as_diverged() -> None:
    assert score(standing(11, 1.0)) == "diverged"


def test_without_a_winner_nobody_is_marked() -> None:
    assert not any(way.won for way in paths(race(), None))
