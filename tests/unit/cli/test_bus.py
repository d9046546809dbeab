from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel
from rich.console import Console

from esper.cli.bus import about, print_message, read_position, read_topic, read_topics
from esper.contracts.enums import (
    AlertRule,
    ComponentName,
    ComponentStatus,
    KasminaAction,
    Severity,
    TopicNames,
)
from esper.contracts.errors import ConfigError
from esper.contracts.messages import KasminaControlCommand, OonaMessage, StopTraining
from esper.contracts.platform_events import Alert, BuildStarted, ComponentHealth
from esper.contracts.records import RunLine, RunRecords
from support import logged_runs

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC).timestamp()


def message(body: BaseModel, topic: TopicNames = TopicNames.EVENTS_TRAINING) -> OonaMessage:
    return OonaMessage.of(body, sender_id="tolaria/one", topic=topic)


def records(*lines: logged_runs.Line) -> RunRecords:
    numbered = tuple(RunLine(position=at, body=line) for at, line in enumerate(lines))
    return RunRecords(run_id="0123456789", attempt=0, lines=numbered)


def test_a_topic_is_known_by_its_name_and_a_misspelt_one_told_with_the_nearest() -> None:
    assert read_topic("events.seed") is TopicNames.EVENTS_SEED
    with pytest.raises(ConfigError, match=r"Did you mean 'events\.seed'"):
        read_topic("event.seed")


def test_no_topic_means_every_topic() -> None:
    assert read_topics(()) == list(TopicNames)
    assert read_topics(("health.alerts",)) == [TopicNames.HEALTH_ALERTS]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", NOW),
        ("30s", NOW - 30),
        ("1.5m", NOW - 90),
        ("2h", NOW - 7200),
        ("1d", NOW - 86_400),
        ("2026-11-21T08:00:00+00:00", NOW - 3600),
    ],
)
def test_a_time_becomes_the_position_at_which_its_messages_begin(text: str, seconds: float) -> None:
    assert read_position(text, NOW) == str(int(seconds * 1000))


@pytest.mark.parametrize("position", ["0", "1763718000000", "1763718000000-3"])
def test_a_position_stays_as_it_is(position: str) -> None:
    assert read_position(position, NOW) == position


@pytest.mark.parametrize("text", ["yesterday", "10w", "-5m", ""])
def test_what_is_no_time_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ConfigError, match="give an age"):
        read_position(text, NOW)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (records(logged_runs.START), "run 01234567, step 0: start"),
        (
            records(logged_runs.step(10, 1.0), logged_runs.step(20, 1.0), logged_runs.fossil()),
            "run 01234567, steps 10 to 20: 2 × step, SeedFossilized",
        ),
        (
            KasminaControlCommand(
                run_id="0123456789",
                action=KasminaAction.SET_ALPHA,
                layer_name="net.0",
                seed_idx=1,
                alpha=0.5,
            ),
            "set_alpha net.0#1 of run 01234567",
        ),
        (StopTraining(run_id="r", reason="enough"), "StopTraining, reason enough"),
        (BuildStarted(blueprint_id="b1", worker="w"), "BuildStarted, blueprint_id b1"),
        (
            ComponentHealth(
                component=ComponentName.NISSA,
                instance="one",
                status=ComponentStatus.DEGRADED,
                pid=1,
                interval_seconds=5,
                leaving=True,
            ),
            "degraded, leaves",
        ),
        (
            Alert(
                alert_id="a",
                rule=AlertRule.PLATEAU,
                severity=Severity.WARNING,
                subject="",
                message="nothing falls",
            ),
            "warning plateau: nothing falls",
        ),
    ],
)
def test_a_message_is_told_in_a_few_words(body: BaseModel, words: str) -> None:
    assert about(message(body)) == words


def test_a_message_as_json_is_one_line_with_its_position() -> None:
    sent = message(records(*logged_runs.lines()))
    stream = io.StringIO()
    print_message(Console(file=stream, width=80), "7-0", sent, as_json=True)
    (line,) = stream.getvalue().splitlines()
    read = json.loads(line)
    assert read.pop("position") == "7-0"
    assert OonaMessage.model_validate(read) == sent


def test_a_message_for_people_is_one_line_with_time_topic_and_sender() -> None:
    stream = io.StringIO()
    sent = message(records(*logged_runs.lines()))
    print_message(Console(file=stream, width=40), "7-0", sent)
    (line,) = stream.getvalue().splitlines()
    assert f"{sent.timestamp.astimezone():%T}" in line
    assert "events.training tolaria/one run 01234567" in line
