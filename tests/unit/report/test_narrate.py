from __future__ import annotations

import pytest

from esper.contracts.enums import AdaptationOutcome
from esper.contracts.events import (
    CommandCarriedOut,
    CommandRefused,
    Event,
    GraftEvaluated,
    HealthMeasured,
    RaceDecided,
    RolledBack,
    SeedCulled,
    SeedFossilized,
    SeedIsolated,
    SeedRetreated,
)
from esper.contracts.operational import FieldReport
from esper.contracts.records import KernelsDelivered, KernelsEntered
from esper.report.narrate import delivered, entered, tell, timeline
from samples.run_folders import events
from support import told_runs

NEWS = [one for one in events() if not isinstance(one, GraftEvaluated)]


@pytest.mark.parametrize("event", NEWS, ids=lambda event: type(event).__name__)
def test_every_growth_event_has_a_sentence_without_internals(event: Event) -> None:
    text = tell(event)
    assert text
    assert "None" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("event", "part"),
    [
        (RaceDecided(step=9, reason="nobody paid the rent."), "without a winner: nobody paid"),
        (SeedCulled(step=9, layer_name="a.b", reason="it hurt"), "layer “a.b”: it hurt"),
        (SeedRetreated(step=9, layer_name="a", reason=""), "retreat at layer “a”"),
        (SeedIsolated(step=9, layer_name="a", failures=3, reason="NaN"), "failed 3 times"),
        (
            CommandRefused(step=9, command_id="1", command="cull 0#0", reason="no kernel there"),
            "refused: cull 0#0: no kernel there",
        ),
        (RolledBack(step=9, to_step=1_500, reason="loss is NaN"), "step 1,500: loss is NaN"),
    ],
)
def test_bad_news_is_told_with_its_reason(event: Event, part: str) -> None:
    text = tell(event)
    assert text is not None
    assert part in text


def test_a_check_is_told_once_with_its_verdict_and_the_gain_that_decided() -> None:
    check = GraftEvaluated(step=1, layer_name="0", gain=0.9, ci_low=0.8, ci_high=1.0, kept=True)
    assert tell(check) is None
    report = FieldReport(
        step=1,
        layer_name="0",
        blueprint="conv1d/m",
        outcome=AdaptationOutcome.FOSSILIZED,
        gain=0.759,
        ci_low=0.635,
        ci_high=0.875,
    )
    stays = SeedFossilized(step=1, layer_name="0", host_dropped=True, parameters=9, report=report)
    goes = SeedCulled(step=1, layer_name="0", reason="it hurt", report=report)
    for event in (stays, goes):
        text = tell(event)
        assert text is not None
        assert "held-out gain +75.9\u202f% (interval +63.5\u202f% to +87.5\u202f%)" in text


def test_fresh_copies_are_not_counted_as_candidates() -> None:
    begun, mark = tell(events()[0]), tell(events()[1])
    assert begun is not None
    assert mark is not None
    assert "10 candidates and 2 fresh copies for" in begun
    assert "mark 1: 5 of 10 candidates go on" in mark


def test_routine_is_no_news() -> None:
    assert tell(HealthMeasured(step=1, signals=())) is None


def test_a_run_is_told_in_order_from_its_race_to_its_end() -> None:
    told = timeline(told_runs.finished())
    assert [step for step, _ in told] == sorted(step for step, _ in told)
    assert told[0][1].startswith("race 1 begins")
    assert told[-1][1] == "the run ended"


def library(*entered: str, trouble: str | None = None) -> KernelsEntered:
    return KernelsEntered(step=0, entered=entered, trouble=trouble)


DONE = CommandCarriedOut(step=5, command_id="1", command="freeze 0#0")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (told_runs.event(DONE), "command carried out: freeze 0#0"),
        (
            {"type": "resume", "step": 5, "environment": {}},
            "going on from the checkpoint of step 5",
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
            entered(library(trouble="no answer")),
        ),
    ],
)
def test_what_is_no_growth_event_is_told_as_well(line: told_runs.Line, text: str) -> None:
    assert [said for _, said in timeline(told_runs.account([line]))] == [text]


def test_evaluations_are_no_news() -> None:
    assert timeline(told_runs.account([told_runs.evaluated(200, 0.5)])) == []


def test_kernels_that_may_race_are_counted_and_a_failure_is_named() -> None:
    assert entered(library("ab" * 32)) == "1 kernel of the library may enter races"
    told = entered(library(trouble="nobody answers"))
    assert told.startswith("0 kernels")
    assert "(nobody answers), the run goes on without it" in told


def test_what_the_library_took_refused_and_left_is_told() -> None:
    assert delivered(KernelsDelivered()) == "there was nothing for the library"
    assert (
        delivered(KernelsDelivered(kernels=1, reports=2))
        == "the library took 1 kernel and 2 reports"
    )
    assert "it refused 1" in delivered(KernelsDelivered(reports=1, refused=1))
    waiting = delivered(KernelsDelivered(left=3, trouble="it is away"))
    assert waiting.startswith("the library took nothing; 3 left in the outbox (it is away)")
    assert "--send" in waiting
