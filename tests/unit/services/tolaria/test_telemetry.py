from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esper.contracts.enums import TopicNames
from esper.contracts.errors import DivergenceError
from esper.contracts.messages import topic_of
from esper.contracts.platform_events import FieldReported
from esper.contracts.records import (
    LogEntry,
    RunFailed,
    RunLine,
    RunRecords,
    StepLogged,
    parse_record,
)
from esper.services.tolaria.signals import StopRequest
from esper.services.tolaria.trainer import TolariaTrainer
from esper.services.tolaria.training_config import config_from_mapping
from esper.utils.run_identity import read_identity
from esper.utils.spans import trace_id_of
from support.publishers import KeepingPublisher

Make = Callable[..., Any]

GROWING = {
    "data": "mnist1d",
    "steps": 300,
    "growth": {
        "families": ["conv1d"],
        "race_compute": 4.0,
        "limits": {"max_compute": None},
        "rung": 0.12,
        "shadow_batch": 1.0,
        "min_gain": 0.0,
    },
}
"""A short run with long races, so that it grows."""


def lines(folder: Path) -> list[RunLine]:
    """The log as it stands, each line with its place."""
    found, position = [], 0
    for line in (folder / "run.jsonl").read_bytes().splitlines(keepends=True):
        found.append(RunLine(position=position, body=json.loads(line)))
        position += len(line)
    return found


def sent_lines(publisher: KeepingPublisher) -> list[RunLine]:
    return [line for records in publisher.records for line in records.lines]


def without_time(line: RunLine) -> RunLine:
    body = {key: value for key, value in line.body.items() if key != "step_seconds"}
    return RunLine(position=line.position, body=body)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, KeepingPublisher]:
    """A run that grows, and all that it sent."""
    folder, publisher = tmp_path_factory.mktemp("telemetry") / "run", KeepingPublisher()
    config = config_from_mapping({**GROWING, "output": str(folder)})
    TolariaTrainer(config, publisher=publisher).run()
    return folder, publisher


def test_every_line_of_a_run_can_be_read_back(grown: tuple[Path, KeepingPublisher]) -> None:
    folder, publisher = grown
    kinds = {type(parse_record(line.body)).__name__ for line in lines(folder)}
    assert kinds >= {
        "RunStarted",
        "StepLogged",
        "Evaluated",
        "HealthMeasured",
        "AdaptationDecided",
        "RaceStarted",
        "RungFinished",
        "RaceDecided",
        "VerdictReached",
        "GrowthClosed",
        "RunEnded",
    }
    for records in publisher.records:
        assert RunRecords.model_validate(records.model_dump(mode="json")) == records


def test_what_is_sent_is_what_the_log_holds_with_its_place(
    grown: tuple[Path, KeepingPublisher],
) -> None:
    folder, publisher = grown
    assert [without_time(line) for line in sent_lines(publisher)] == lines(folder)
    identity = read_identity(folder)
    assert identity is not None
    for sent in publisher.sent:
        if isinstance(sent.body, RunRecords):
            (line,) = sent.body.lines
            assert sent.topic is topic_of(line.body)
            assert (sent.body.run_id, sent.body.attempt) == (identity.run_id, 0)
            assert (sent.body.kept, sent.body.folder) == (0, str(folder))
    steps = [parse_record(line.body) for line in sent_lines(publisher)]
    timed = [s.step_seconds for s in steps if isinstance(s, StepLogged)]
    assert timed[0] is None
    assert all(seconds is not None and seconds > 0 for seconds in timed[1:])


def test_one_adaptation_is_one_trace_and_the_next_one_another(
    grown: tuple[Path, KeepingPublisher],
) -> None:
    folder, publisher = grown
    identity = read_identity(folder)
    assert identity is not None
    closed = 0
    for sent in publisher.sent:
        assert sent.trace_id == trace_id_of(identity.run_id, closed)
        if isinstance(sent.body, RunRecords):
            body = sent.body.lines[0].body
            if body.get("kind") == "VerdictReached":
                decision: Any = body["decision"]
                closed += decision["verdict"] != "graft"
    assert closed >= 1
    fates = [
        line.body["report"]
        for line in lines(folder)
        if line.body.get("kind") in {"SeedFossilized", "SeedCulled"}
    ]
    reported = [s for s in publisher.sent if isinstance(s.body, FieldReported)]
    assert [s.body.model_dump(mode="json")["report"] for s in reported] == fates
    assert {s.topic for s in reported} <= {TopicNames.INNOVATION_FIELD_REPORTS}
    assert fates


def test_a_resumed_run_says_what_stands_of_its_earlier_attempts(make: Make, tmp_path: Path) -> None:
    stop, first, second = StopRequest(), KeepingPublisher(), KeepingPublisher()

    def on_event(record: LogEntry) -> None:
        if isinstance(record, StepLogged) and record.step == 20:
            stop.ask()

    config = make()
    TolariaTrainer(config, stop=stop, on_event=on_event, publisher=first).run()
    TolariaTrainer.resuming(config.output, publisher=second).run()
    assert {r.attempt for r in first.records} == {0}
    assert {r.attempt for r in second.records} == {1}
    (kept,) = {r.kept for r in second.records}
    standing = [line for line in sent_lines(first) if line.position < kept]
    both = [without_time(line) for line in [*standing, *sent_lines(second)]]
    assert both == lines(config.output)
    assert second.records[0].lines[0].body["type"] == "resume"


def test_a_run_that_fails_says_so_over_the_bus_and_its_log_does_not(make: Make) -> None:
    publisher = KeepingPublisher()
    config = make(optimizer={"name": "sgd", "lr": 1e30})
    with pytest.raises(DivergenceError):
        TolariaTrainer(config, publisher=publisher).run()
    last = parse_record(sent_lines(publisher)[-1].body)
    assert isinstance(last, RunFailed)
    assert "the train loss is nan" in last.error
    assert [without_time(line) for line in sent_lines(publisher)[:-1]] == lines(config.output)
