from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from esper.contracts.enums import TopicNames
from esper.contracts.messages import OonaMessage, StopTraining
from esper.contracts.records import RunLine, RunRecords
from esper.services.oona.gathering import Waiting, gather

TELEMETRY = TopicNames.TELEMETRY_TRAINING
RACE = TopicNames.EVENTS_RACE


def line(position: int, topic: TopicNames = TELEMETRY, **fields: Any) -> Waiting:
    trace_id = fields.pop("trace_id", "a" * 32)
    records = RunRecords(
        **{"run_id": "r", "attempt": 1, "kept": 7, "folder": "runs/x", **fields},
        lines=(RunLine(position=position, body={"type": "step", "step": position}),),
    )
    return Waiting(records, topic, trace_id, None, 1_800_000_000.0)


def positions(message: OonaMessage) -> list[int]:
    records = RunRecords.model_validate(message.payload)
    return [entry.position for entry in records.lines]


def test_lines_of_a_run_travel_together() -> None:
    parcels = gather([line(number) for number in range(5)], "tolaria/r")
    [parcel] = parcels
    assert parcel.bodies == 5
    assert positions(parcel.message) == [0, 1, 2, 3, 4]


def test_a_message_of_lines_is_what_its_records_are_as_json() -> None:
    item = line(3)
    [parcel] = gather([item], "tolaria/r")
    assert parcel.message.payload == item.body.model_dump(mode="json")
    again = OonaMessage.model_validate_json(parcel.message.model_dump_json())
    assert again == parcel.message
    assert again.timestamp == datetime.fromtimestamp(1_800_000_000.0, UTC)
    assert again.trace_id == "a" * 32
    assert again.sender_id == "tolaria/r"


def test_lines_of_other_runs_attempts_and_traces_travel_apart() -> None:
    items = [
        line(0),
        line(1, run_id="other"),
        line(2, attempt=2),
        line(3, kept=8),
        line(4, folder="elsewhere"),
        line(5, trace_id="b" * 32),
    ]
    assert [positions(parcel.message) for parcel in gather(items, "s")] == [
        [number] for number in range(6)
    ]


def test_topics_do_not_tear_each_others_lines_apart() -> None:
    items = [line(number, RACE if number % 2 else TELEMETRY) for number in range(6)]
    found = {parcel.message.topic: positions(parcel.message) for parcel in gather(items, "s")}
    assert found == {TELEMETRY: [0, 2, 4], RACE: [1, 3, 5]}


def test_the_order_within_a_topic_stays() -> None:
    stop = Waiting(StopTraining(run_id="r", reason="x"), TELEMETRY, None, None, 0.0)
    parcels = gather([line(0), line(1), stop, line(2)], "s")
    kinds = [parcel.message.payload["kind"] for parcel in parcels]
    assert kinds == ["RunRecords", "StopTraining", "RunRecords"]
    assert positions(parcels[2].message) == [2]
    assert len(parcels[1].message.trace_id) == 32


def test_a_message_has_not_too_many_lines() -> None:
    parcels = gather([line(number) for number in range(300)], "s")
    assert [parcel.bodies for parcel in parcels] == [128, 128, 44]
