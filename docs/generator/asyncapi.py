"""The AsyncAPI 3.0 document: every topic of the bus and what it carries, for other programs."""

from __future__ import annotations

import inspect
import json
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from esper.contracts.enums import TopicNames
from esper.contracts.events import AnyEvent
from esper.contracts.messages import PAYLOADS, Command, OonaMessage, topic_of
from esper.contracts.records import AnyRecord, RunRecords
from esper.contracts.version import VERSION
from esper.services.oona.bus_config import OonaConfig

JsonObject = dict[str, Any]

_SCHEMA = "#/components/schemas/"
_MESSAGE = "#/components/messages/"
_CONTENT = "application/json"
_RECORDS: tuple[type[BaseModel], ...] = get_args(get_args(AnyRecord)[0])
_EVENTS: tuple[type[BaseModel], ...] = get_args(get_args(AnyEvent)[0])
_CLAIMED: JsonObject = {
    "properties": {"payload": {"maxProperties": 0}, "claim": {"type": "object"}},
    "required": ["claim"],
}
"""A message whose payload lies elsewhere."""
_ABOUT = (
    "Messages between the parts of Esper. A topic is a stream of Redis or Valkey; an entry has one "
    "field, `m`, which holds the JSON of a message: an envelope, `OonaMessage`, with one of the "
    "payloads of its topic. A payload that is too large lies in the object store, where `claim` "
    "says, and is empty in the message. "
    "Delivery is at least once, and in order within a topic: receivers drop what they have seen, "
    "by `event_id`. `send` is what Esper sends, `receive` what it acts upon."
)


def document() -> str:
    """The document, as JSON."""
    return json.dumps(_document(), indent=2, ensure_ascii=False) + "\n"


def _document() -> JsonObject:
    bodies = dict.fromkeys(body for bodies in PAYLOADS.values() for body in bodies)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Esper",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _CONTENT,
        "channels": {topic.value: _channel(topic) for topic in PAYLOADS},
        "operations": dict(_operation(topic) for topic in PAYLOADS),
        "components": {
            "messages": {body.__name__: _message(body) for body in bodies},
            "schemas": _schemas(list(bodies)),
        },
    }


def _channel(topic: TopicNames) -> JsonObject:
    channel: JsonObject = {
        "address": OonaConfig().stream(topic),
        "messages": {body.__name__: {"$ref": _MESSAGE + body.__name__} for body in PAYLOADS[topic]},
    }
    lines = [name for name, its in _lines() if its is topic]
    if RunRecords in PAYLOADS[topic]:
        channel["description"] = f"Lines of runs' logs: {', '.join(lines)}."
    return channel


def _operation(topic: TopicNames) -> tuple[str, JsonObject]:
    """What Esper does with a topic: it sends, but for commands, which it carries out."""
    action = "receive" if all(issubclass(b, Command) for b in PAYLOADS[topic]) else "send"
    pointer = f"#/channels/{topic.value}"
    messages = [{"$ref": f"{pointer}/messages/{body.__name__}"} for body in PAYLOADS[topic]]
    name = f"{action}.{topic.value}"
    return name, {"action": action, "channel": {"$ref": pointer}, "messages": messages}


def _message(body: type[BaseModel]) -> JsonObject:
    return {
        "name": body.__name__,
        "summary": inspect.getdoc(body) or "",
        "contentType": _CONTENT,
        "correlationId": {"location": "$message.payload#/trace_id"},
        "payload": {
            "allOf": [
                {"$ref": f"{_SCHEMA}OonaMessage"},
                {
                    "anyOf": [
                        {"properties": {"payload": {"$ref": _SCHEMA + body.__name__}}},
                        _CLAIMED,
                    ]
                },
            ]
        },
    }


def _schemas(bodies: list[type[BaseModel]]) -> JsonObject:
    """Schemas of the envelope, the payloads, and the lines that travel in `RunRecords`."""
    lines = [*_RECORDS, *_EVENTS]
    _, made = models_json_schema(
        [(model, "serialization") for model in (OonaMessage, *bodies, *lines)],
        ref_template=_SCHEMA + "{model}",
    )
    schemas: JsonObject = _without_discriminators(made["$defs"])
    for event in _EVENTS:
        # In a log every event says that it is one.
        properties = schemas[event.__name__]["properties"]
        schemas[event.__name__]["properties"] = {"type": {"const": "event"}, **properties}
    for schema in schemas.values():
        # What has one value only is what tells the kinds apart: it is always there.
        properties = schema.get("properties", {})
        constant = {name for name, value in properties.items() if "const" in value}
        if constant:
            schema["required"] = sorted(constant.union(schema.get("required", ())))
    body = schemas["RunLine"]["properties"]["body"]
    del body["additionalProperties"]
    body["anyOf"] = [{"$ref": _SCHEMA + model.__name__} for model in lines]
    return dict(sorted(schemas.items()))


def _lines() -> list[tuple[str, TopicNames]]:
    """Every line that a log may have, with its topic."""
    records = [str(model.model_fields["type"].default) for model in _RECORDS]
    events = [model.__name__ for model in _EVENTS]
    return [
        *((name, topic_of({"type": name})) for name in records),
        *((name, topic_of({"type": "event", "kind": name})) for name in events),
    ]


def _without_discriminators(schema: Any) -> Any:
    """The schema without pydantic's discriminators, which AsyncAPI writes otherwise.

    Nothing is lost: alternatives differ in a constant.
    """
    if isinstance(schema, list):
        return [_without_discriminators(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_discriminators(entry)
        for key, entry in schema.items()
        if key != "discriminator"
    }
