from __future__ import annotations

from typing import get_args

import pytest

from esper.contracts.enums import TopicNames
from esper.contracts.events import AnyEvent
from esper.contracts.messages import PAYLOADS, topic_of
from esper.contracts.records import AnyRecord, RunRecords


def test_every_topic_says_what_it_carries() -> None:
    assert set(PAYLOADS) == set(TopicNames)
    assert all(PAYLOADS.values())


@pytest.mark.parametrize("event", get_args(get_args(AnyEvent)[0]), ids=lambda e: e.__name__)
def test_an_event_line_goes_to_a_topic_that_carries_lines(event: type) -> None:
    topic = topic_of({"type": "event", "kind": event.__name__})
    assert RunRecords in PAYLOADS[topic]


@pytest.mark.parametrize("record", get_args(get_args(AnyRecord)[0]), ids=lambda r: r.__name__)
def test_any_other_line_does_so_too(record: type) -> None:
    kind = record.model_fields["type"].default  # type: ignore[attr-defined]  # a pydantic class
    assert RunRecords in PAYLOADS[topic_of({"type": kind})]


def test_health_and_results_of_commands_have_topics_of_their_own() -> None:
    line = {"type": "event", "kind": "HealthMeasured"}
    assert topic_of(line) is TopicNames.TELEMETRY_SEED_HEALTH
    line = {"type": "event", "kind": "CommandRefused"}
    assert topic_of(line) is TopicNames.CONTROL_RESULTS
