"""The AsyncAPI document: structure as AsyncAPI 3.0 wants it, and schemas that real messages fit.

No validator of AsyncAPI's own is at hand offline: the rules of its specification that this
document can break are checked one by one.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from docs import pages
from esper.contracts.assets import Blueprint
from esper.contracts.enums import (
    AdaptationOutcome,
    AlertRule,
    ComponentName,
    ComponentStatus,
    KasminaAction,
    KernelMode,
    Severity,
    TopicNames,
)
from esper.contracts.messages import (
    PAYLOADS,
    KasminaControlCommand,
    OonaMessage,
    RequestBlueprint,
    StopTraining,
    topic_of,
)
from esper.contracts.operational import FieldReport
from esper.contracts.platform_events import (
    Alert,
    BuildFinished,
    BuildStarted,
    ComponentHealth,
    FieldReported,
)
from esper.contracts.records import RunLine, RunRecords
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.bus_wire import Wire
from support import logged_runs

DOCUMENT: dict[str, Any] = json.loads(
    (pages.ROOT / "docs" / "reference" / "asyncapi.json").read_text(encoding="utf-8")
)
NAME = re.compile(r"[A-Za-z0-9._-]+")


def records(*lines: logged_runs.Line) -> RunRecords:
    numbered = (RunLine(position=at, body=line) for at, line in enumerate(lines))
    return RunRecords(run_id="r", attempt=0, lines=tuple(numbered))


BLUEPRINT = Blueprint(
    name="wide_mlp/m",
    family="wide_mlp",
    size="m",
    mode=KernelMode.REPLACING,
    architecture={"nodes": []},
    input_shape=(8,),
    output_shape=(None, 4),
    parameters=12,
    flops=24,
)
SAMPLES = (
    records(*logged_runs.lines()),
    KasminaControlCommand(
        run_id="r", action=KasminaAction.SET_ALPHA, layer_name="0", seed_idx=0, alpha=0.5
    ),
    StopTraining(run_id="r", reason="enough"),
    RequestBlueprint(blueprint=BLUEPRINT, requested_by="a person"),
    BuildStarted(blueprint_id="b", worker="w"),
    BuildFinished(blueprint_id="b", worker="w", seconds=1.5, kernel_id="0" * 64),
    FieldReported(
        run_id="r",
        report=FieldReport(
            step=3, layer_name="0", blueprint="wide_mlp/m", outcome=AdaptationOutcome.CULLED
        ),
    ),
    ComponentHealth(
        component=ComponentName.NISSA,
        instance="one",
        status=ComponentStatus.HEALTHY,
        pid=7,
        interval_seconds=5.0,
    ),
    Alert(
        alert_id="a",
        rule=AlertRule.PLATEAU,
        severity=Severity.WARNING,
        subject="",
        message="nothing falls",
    ),
)
OF_KIND = {type(sample): sample for sample in SAMPLES}


def refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from refs(child)
    elif isinstance(node, list):
        for child in node:
            yield from refs(child)


def at(pointer: str) -> Any:
    node = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def fits(topic: TopicNames, message: dict[str, Any]) -> bool:
    """Whether one of the topic's messages allows it."""
    allowed = at(f"#/channels/{topic.value}/messages").values()
    schemas = [at(entry["$ref"])["payload"] for entry in allowed]
    return any(
        jsonschema_rs.Draft202012Validator(
            {**schema, "components": DOCUMENT["components"]}
        ).is_valid(message)
        for schema in schemas
    )


def test_it_is_asyncapi_3_with_all_that_is_required() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]
    assert set(DOCUMENT) <= {
        "asyncapi",
        "id",
        "info",
        "servers",
        "defaultContentType",
        "channels",
        "operations",
        "components",
    }


def test_every_topic_is_a_channel_with_its_own_address_and_messages() -> None:
    channels = DOCUMENT["channels"]
    assert set(channels) == {topic.value for topic in TopicNames}
    assert len({channel["address"] for channel in channels.values()}) == len(channels)
    for topic, bodies in PAYLOADS.items():
        assert set(channels[topic]["messages"]) == {body.__name__ for body in bodies}


def test_every_reference_leads_somewhere() -> None:
    found = set(refs(DOCUMENT))
    assert found
    for ref in found:
        assert isinstance(at(ref), dict), ref


def test_every_component_has_a_name_that_the_specification_allows() -> None:
    for kind in DOCUMENT["components"].values():
        assert all(NAME.fullmatch(name) for name in kind)


def test_every_operation_says_what_is_done_with_messages_of_its_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = operation["channel"]["$ref"]
        assert all(one["$ref"].startswith(f"{channel}/messages/") for one in operation["messages"])


def test_commands_are_received_and_everything_else_is_sent() -> None:
    received = {name for name, one in DOCUMENT["operations"].items() if one["action"] == "receive"}
    assert received == {
        "receive.control.kasmina_commands",
        "receive.innovation.blueprint_requests",
    }


def test_the_schemas_are_json_schema_without_discriminator_objects() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        assert jsonschema_rs.meta.is_valid(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
        )
    assert '"discriminator"' not in json.dumps(DOCUMENT)


@pytest.mark.parametrize(
    ("topic", "body"),
    [(topic, body) for topic, bodies in PAYLOADS.items() for body in bodies],
)
def test_a_real_message_of_every_topic_fits_its_schema(topic: TopicNames, body: type) -> None:
    message = OonaMessage.of(OF_KIND[body], sender_id="test/1", topic=topic)
    assert fits(topic, message.model_dump(mode="json"))


def test_what_stands_in_an_entry_on_the_server_fits(tmp_path: Path) -> None:
    topic = TopicNames.TELEMETRY_TRAINING
    message = OonaMessage.of(records(*logged_runs.lines()), sender_id="test/1", topic=topic)
    for claim_bytes in (2**20, 10):  # with its payload, and with a claim in its place
        config = OonaConfig(claim_bytes=claim_bytes, claims=(tmp_path / "claims").as_uri())
        entry = asyncio.run(Wire(config).pack(message, "live"))
        assert (json.loads(entry)["claim"] is None) == (claim_bytes > 10)
        assert fits(topic, json.loads(entry))


def test_messages_that_are_wrong_do_not_fit() -> None:
    topic = TopicNames.CONTROL_KASMINA_COMMANDS
    good = OonaMessage.of(OF_KIND[StopTraining], sender_id="test/1", topic=topic)
    message = good.model_dump(mode="json")
    payload = message["payload"]
    assert not fits(topic, {**message, "extra": 1})
    assert not fits(topic, {**message, "payload": {**payload, "kind": "StartTraining"}})
    assert not fits(topic, {**message, "payload": {"run_id": "r", "reason": "no kind"}})
    assert not fits(TopicNames.HEALTH_ALERTS, message)


@pytest.mark.parametrize("line", logged_runs.lines(), ids=lambda line: line["type"])
def test_a_line_of_a_log_fits_and_an_unknown_one_does_not(line: logged_runs.Line) -> None:
    topic = topic_of(line)
    good = OonaMessage.of(records(line), sender_id="test/1", topic=topic).model_dump(mode="json")
    assert fits(topic, good)
    odd = OonaMessage.of(records({**line, "typ": 1}), sender_id="test/1", topic=topic)
    assert not fits(topic, odd.model_dump(mode="json"))
