"""Lines become the spans of one trace for each adaptation."""

from __future__ import annotations

from typing import Any

from esper.contracts.runs import StoredLine
from esper.services.nissa.adaptation_traces import AdaptationTracer
from esper.utils.spans import root_of
from support import logged_runs
from support.alert_lines import (
    Parsed,
    event,
    graft_started,
    health,
    moment,
    race_decided,
    race_started,
    seed,
    step,
)
from support.kept_spans import KeptSpans

TRACE = "a" * 32


def _verdict(verdict: str, number: int) -> Parsed:
    body: dict[str, Any] = logged_runs.verdict()["decision"]
    return event("VerdictReached", number, decision={**body, "verdict": verdict})


def _rung(number: int, rung: int) -> Parsed:
    return event("RungFinished", number, rung=rung, standings=[])


def _adaptation() -> list[Parsed]:
    return [
        health(50, dead_neuron_ratio=0.5),
        race_started(60),
        _rung(90, 0),
        _rung(120, 1),
        race_decided(150),
        _verdict("graft", 150),
        graft_started(150),
        seed("SeedFossilized", 180, host_dropped=True, parameters=10),
        _verdict("fossilise", 180),
    ]


def _stored(number: int, record: Parsed, trace_id: str = TRACE) -> StoredLine:
    return StoredLine(
        cursor=number + 1,
        position=10 * number,
        attempt=0,
        at=moment(number),
        trace_id=trace_id,
        body=record.model_dump(mode="json"),
    )


def _followed(numbers: list[int]) -> tuple[AdaptationTracer, KeptSpans]:
    kept = KeptSpans()
    tracer, lines = AdaptationTracer(kept), _adaptation()
    for number in numbers:
        tracer.follow("run-1", _stored(number, lines[number]), lines[number], now=100.0)
    return tracer, kept


def test_an_adaptation_is_a_tree_with_the_times_of_its_lines() -> None:
    tracer, kept = _followed(list(range(9)))
    tracer.tick(101.0)
    assert kept.spans == [], "lines may still be under way"
    tracer.tick(102.5)
    spans = {span.name: span for span in kept.spans if span.name != "rung"}
    rungs = [span for span in kept.spans if span.name == "rung"]
    root, race, graft = spans["adaptation"], spans["race"], spans["graft"]
    assert root.context == root_of(TRACE)
    assert root.parent is None
    assert (race.parent, graft.parent) == (root.context, root.context)
    assert [rung.parent for rung in rungs] == [race.context] * 2
    start = moment(0).timestamp()
    assert (root.began - start, root.ended - start) == (0, 8)
    assert (race.began - start, race.ended - start) == (1, 4)
    assert [(r.began - start, r.ended - start) for r in rungs] == [(1, 2), (2, 3)]
    assert (graft.began - start, graft.ended - start) == (6, 7)
    assert root.attributes["esper.verdict"] == "fossilise"
    assert [e.name for e in root.events] == [
        "health measured",
        "verdict: graft",
        "fossilized",
        "verdict: fossilise",
    ]


def test_lines_in_another_order_make_the_same_trace() -> None:
    results = []
    for numbers in ([*range(9)], [8, 0, 4, 2, 3, 1, 7, 6, 5]):
        tracer, kept = _followed(numbers)
        tracer.tick(200.0)
        results.append(kept.spans)
    assert results[0] == results[1]


def test_a_race_without_a_winner_is_an_adaptation_too_and_one_that_goes_on_is_none_yet() -> None:
    kept = KeptSpans()
    tracer = AdaptationTracer(kept)
    lines = [race_started(60), race_decided(150), _verdict("decline", 150)]
    for number, record in enumerate(lines):
        tracer.follow("run-1", _stored(number, record), record, now=0.0)
    tracer.follow("run-1", _stored(9, lines[0], "b" * 32), lines[0], now=0.0)
    tracer.close()
    assert [span.name for span in kept.spans] == ["race", "adaptation"]
    assert kept.closed


def test_what_was_passed_on_before_a_restart_is_not_passed_on_again() -> None:
    kept = KeptSpans()
    tracer = AdaptationTracer(kept)
    for number, record in enumerate(_adaptation()):
        tracer.recall("run-1", _stored(number, record), record)
    tracer.tick(1000.0)
    assert kept.spans == []


def test_what_is_under_way_when_nissa_starts_again_is_completed() -> None:
    kept = KeptSpans()
    tracer = AdaptationTracer(kept)
    lines = _adaptation()
    for number, record in enumerate(lines[:7]):
        tracer.recall("run-1", _stored(number, record), record)
    for number, record in enumerate(lines[7:], start=7):
        tracer.follow("run-1", _stored(number, record), record, now=0.0)
    tracer.tick(10.0)
    assert {span.name for span in kept.spans} == {"adaptation", "race", "rung", "graft"}


def test_what_is_over_and_waits_for_late_lines_survives_a_second_look_at_the_run() -> None:
    tracer, kept = _followed(list(range(9)))
    tracer.forget("run-1")
    for number, record in enumerate(_adaptation()):
        tracer.recall("run-1", _stored(number, record), record)
    tracer.tick(102.5)
    assert [span.name for span in kept.spans].count("adaptation") == 1


def test_what_is_under_way_in_a_run_is_forgotten_when_its_lines_became_void() -> None:
    tracer, kept = _followed([0, 1, 2])
    tracer.forget("run-1")
    verdict = _adaptation()[8]
    tracer.follow("run-1", _stored(8, verdict), verdict, now=0.0)
    tracer.close()
    assert [span.name for span in kept.spans] == ["adaptation"]


def test_lines_that_are_no_part_of_an_adaptation_are_passed_over() -> None:
    kept = KeptSpans()
    tracer = AdaptationTracer(kept)
    done = event("CommandCarriedOut", 5, command_id="c", command="freeze")
    for record in (step(1, 1.0), done):
        tracer.follow("run-1", _stored(1, record), record, now=0.0)
    tracer.close()
    assert kept.spans == []
