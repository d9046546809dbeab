from __future__ import annotations

import pytest

from esper.dashboard.views.answers import Answers, answers
from esper.dashboard.views.picture import RunPicture
from esper.dashboard.views.slot_view import slot_lives
from support import told_runs


def told(picture: RunPicture) -> Answers:
    return answers(picture, slot_lives(picture))


def test_a_grown_run_answers_what_where_why_and_what_it_bought() -> None:
    (one,) = told(told_runs.finished()).kernels
    chosen, kept = told_runs.REPORT.decisions[:2]
    assert (one.what, one.layer, one.host) == ("conv1d_stack/m", "0", "Linear 40 → 100")
    assert (one.since, one.settled, one.beside) == (1_600, True, False)
    assert (one.chosen, one.control, one.rent) == (
        chosen.evidence,
        chosen.against_control,
        chosen.rent,
    )
    assert one.bought == kept.evidence


def test_the_headline_of_a_run_that_goes_on_does_not_speak_of_its_end() -> None:
    parts = (told_runs.race_lines(), told_runs.decided(), told_runs.graft_lines())
    evals = [told_runs.evaluated(1_400, 0.64), told_runs.evaluated(1_640, 0.9)]
    headline = told(told_runs.picture(evals, *parts)).headline
    assert "64.0" in headline
    assert "now" in headline
    assert "at the end" not in headline
    assert "at the end" in told(told_runs.finished()).headline


def test_a_kernel_that_is_being_blended_in_is_not_settled() -> None:
    parts = (told_runs.race_lines(), told_runs.decided(), told_runs.graft_lines())
    said = told(told_runs.picture(*parts))
    assert not said.kernels[0].settled
    assert "is being blended into layer “0”" in said.now


def test_an_open_race_is_told_with_its_leader() -> None:
    said = told(told_runs.picture(told_runs.race_lines()[:2]))
    assert said.headline == "Nothing has grown so far."
    assert "Race 1 is on" in said.now
    assert "leads" in said.now
    assert "still to come" in told(told_runs.picture(told_runs.race_lines()[:1])).now


def test_a_culled_kernel_is_told_as_tried_and_taken_out() -> None:
    parts = (told_runs.race_lines(), told_runs.decided(), told_runs.graft_lines())
    said = told(told_runs.picture(*parts, told_runs.cull_lines()))
    assert said.kernels == []
    assert "taken out again" in said.headline


@pytest.mark.parametrize(
    ("state", "word"), [("interrupted", "--resume"), ("lost", "not been heard of")]
)
def test_a_run_that_stands_still_says_why(state: str, word: str) -> None:
    assert word in told(told_runs.picture(state=state)).now


def test_a_failed_run_says_its_error() -> None:
    failed = [{"type": "failed", "step": 700, "error": "out of memory"}]
    assert "out of memory" in told(told_runs.picture(failed, state="failed")).now


def test_a_run_that_must_not_grow_does_not_look_for_capacity() -> None:
    picture = told_runs.picture()
    off = told_runs.start(config={"grow": False})
    plain = told_runs.picture([off])
    said = told(RunPicture(summary=picture.summary, lines=plain.lines[1:]))
    assert said.headline == "Growth is off in this run: the model trains as it is."
    assert said.now == ""
