from __future__ import annotations

import pytest

from esper.contracts.events import CommandCarriedOut
from esper.report.timeline import timeline
from support import told_runs


def test_a_run_is_told_in_order_from_its_race_to_its_end() -> None:
    told = timeline(told_runs.finished())
    assert [one.step for one in told] == sorted(one.step for one in told)
    assert told[0].text.startswith("race 1 begins")
    assert told[-1].text == "the run ended"


DONE = CommandCarriedOut(step=5, command_id="1", command="freeze 0#0")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (told_runs.event(DONE), "command carried out: freeze 0#0"),
        (
            {"type": "resume", "step": 5, "environment": {}},
            "the run goes on from its checkpoint",
        ),
        ({"type": "interrupted", "step": 5, "signal": 15}, "the run was interrupted by signal 15"),
        (
            {"type": "interrupted", "step": 5, "reason": "enough"},
            "the run was interrupted: enough",
        ),
        (
            {"type": "checkpoint_failed", "step": 5, "error": "disk full"},
            "a checkpoint could not be written: disk full",
        ),
        (
            {"type": "library", "step": 0, "entered": [], "trouble": "no answer"},
            "0 kernels of the library may race; no answer",
        ),
    ],
)
def test_what_is_no_growth_event_is_told_as_well(line: told_runs.Line, text: str) -> None:
    assert [one.text for one in timeline(told_runs.account([line]))] == [text]


def test_evaluations_are_no_news() -> None:
    assert timeline(told_runs.account([told_runs.evaluated(200, 0.5)])) == []
