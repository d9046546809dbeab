from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusError
from esper.contracts.messages import OonaMessage
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.bus_wire import Wire, envelope, payload_json, read_entry, read_envelope
from support.buses import RACE, SEED, message

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
messages = st.builds(
    OonaMessage,
    sender_id=texts.filter(bool),
    topic=st.sampled_from(TopicNames),
    payload=st.dictionaries(texts, values, max_size=5),
    traceparent=st.none() | texts,
    timestamp=st.datetimes(timezones=st.just(UTC)),
)


@given(messages)
def test_a_message_is_read_as_it_was_written(sent: OonaMessage) -> None:
    assert read_envelope(envelope(sent, payload_json(sent)), sent.topic) == sent


@given(messages, st.randoms(use_true_random=False))
def test_the_order_of_the_fields_does_not_matter(sent: OonaMessage, chance: Random) -> None:
    fields = list(sent.model_dump(mode="json").items())
    chance.shuffle(fields)
    assert read_envelope(orjson.dumps(dict(fields)), sent.topic) == sent


def test_a_payload_may_look_like_the_envelope_around_it() -> None:
    tricky = {"payload": {"x": ',"payload":{}}'}, ',"payload":': 1}
    sent = message().model_copy(update={"payload": tricky, "sender_id": 'a,"payload":{}}'})
    assert read_envelope(envelope(sent, payload_json(sent)), SEED) == sent


@pytest.mark.parametrize("rest", [b'{"a":1}', b"[]}", b'{"a":1}}}', b'{"a":1},"x":1}'])
def test_a_payload_that_is_broken_is_refused(rest: bytes) -> None:
    data = envelope(message(), b"{}")
    assert isinstance(read_entry(data.replace(b"{}}", rest), SEED), BusError)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    assert isinstance(read_entry(data, SEED), BusError)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 2}, "version: Input should be 1"),
        ({"payload": [1]}, "payload: Input should be an object"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
    ],
)
def test_an_entry_of_another_shape_is_refused_with_the_field(
    change: dict[str, Any], why: str
) -> None:

    fields = {**message().model_dump(mode="json"), **change}
    with pytest.raises(BusError, match=why):
        read_envelope(orjson.dumps(fields), SEED)


def test_an_entry_that_says_it_is_of_another_topic_is_refused() -> None:
    sent = message(topic=RACE)
    with pytest.raises(BusError, match=r"'events\.seed' says that it is of 'events\.race'"):
        read_envelope(envelope(sent, payload_json(sent)), SEED)


@pytest.mark.parametrize("value", [2**70, "\ud800", datetime(2026, 1, 1, tzinfo=UTC).tzinfo])
def test_what_json_does_not_know_is_refused(value: Any) -> None:
    sent = message().model_copy(update={"payload": {"value": value}})
    with pytest.raises(BusError, match="cannot be written as JSON"):
        payload_json(sent)


@pytest.mark.asyncio
async def test_a_large_payload_travels_as_a_claim(tmp_path: Path) -> None:
    wire = Wire(OonaConfig(claims=tmp_path.as_uri(), claim_bytes=100))
    small, large = message(1, text="x" * 50), message(2, text="x" * 200)
    assert b"xxx" in await wire.pack(small, "live/events.seed")
    data = await wire.pack(large, "live/events.seed")
    assert b"xxx" not in data
    on_its_way = read_envelope(data, SEED)
    assert on_its_way.claim is not None
    assert on_its_way.payload == {}
    assert await wire.unpack(data, SEED, "live/events.seed") == large


@pytest.mark.asyncio
async def test_a_payload_over_the_limit_is_refused(tmp_path: Path) -> None:
    wire = Wire(OonaConfig(claims=tmp_path.as_uri(), claim_bytes=10, largest_bytes=100))
    with pytest.raises(BusError, match=r"has 2\d\d bytes, more than OonaConfig.largest_bytes"):
        await wire.pack(message(text="x" * 200), "live/events.seed")
