"""Messages as bytes: what stands in an entry of a stream, and how it is read again."""

from __future__ import annotations

from typing import Final

import orjson
from pydantic import ValidationError

from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusError
from esper.contracts.messages import Claim, OonaMessage
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.claims import Claims, UnreadableError

_PAYLOAD_KEY: Final = b',"payload":'


def payload_json(message: OonaMessage) -> bytes:
    """Return the JSON of a message's payload.

    Raises:
        BusError: It has none: a key that is no text, a number beyond 64 bits.
    """
    try:
        return orjson.dumps(message.payload)
    except TypeError as error:
        raise BusError(
            f"the message {message.event_id} of {message.topic.value!r} cannot be written as JSON: "
            f"{error}; send what JSON knows"
        ) from error


def envelope(message: OonaMessage, payload: bytes, claim: Claim | None = None) -> bytes:
    """Return the JSON of a message.

    Args:
        message: The message; its payload is left out.
        payload: The payload's JSON.
        claim: Where the payload lies, if it does not travel with the message.
    """
    fields = message.model_dump(exclude={"claim", "payload"})
    fields["claim"] = None if claim is None else claim.model_dump()
    # Last, so that `_read_in_two` finds it.
    fields["payload"] = {} if claim is not None else orjson.Fragment(payload)
    return orjson.dumps(fields)


def read_envelope(data: bytes, topic: TopicNames) -> OonaMessage:
    """Read a message, whose payload may still lie under its claim.

    Raises:
        UnreadableError: It is no message of this version and topic; says in what.
    """
    try:
        message = _read_in_two(data) or OonaMessage.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UnreadableError(
            f"an entry of the topic {topic.value!r} is no message: {place}: {first['msg']}; was it "
            "sent by another version?"
        ) from error
    if message.topic is not topic:
        raise UnreadableError(
            f"an entry of the topic {topic.value!r} says that it is of {message.topic.value!r}"
        )
    return message


def _read_in_two(data: bytes) -> OonaMessage | None:
    """Read the payload by itself, which takes half the time; None where it does not stand last.

    Within a string quotes are escaped, so that the first such key is the message's own.
    """
    head, key, rest = data.partition(_PAYLOAD_KEY)
    if not key or not rest.endswith(b"}"):
        return None
    try:
        payload = orjson.loads(memoryview(rest)[:-1])
    except orjson.JSONDecodeError:
        return None
    if not isinstance(payload, dict):
        return None
    message = OonaMessage.model_validate_json(head + _PAYLOAD_KEY + b"{}}")
    message.payload.update(payload)
    return message


def read_entry(data: bytes, topic: TopicNames) -> OonaMessage | UnreadableError:
    """Do what `read_envelope` does, and return the error instead of raising it."""
    try:
        return read_envelope(data, topic)
    except UnreadableError as error:
        return error


class Wire:
    """Packs messages for the bus and unpacks them, whether their payload travels or lies under a claim.

    Args:
        config: From which size on payloads are laid down, where, and which are refused.
    """

    def __init__(self, config: OonaConfig) -> None:
        self._config = config
        self.claims = Claims(config)
        """The payloads that were laid down."""

    async def pack(self, message: OonaMessage, place: str) -> bytes:
        """Return what stands for a message in the stream.

        Args:
            message: The message.
            place: Where its payload is laid down, if it is large.

        Raises:
            BusError: It cannot be written as JSON, or is too large.
            BusUnavailableError: The payload could not be laid down.
        """
        payload = payload_json(message)
        if len(payload) <= self._config.claim_bytes:
            return envelope(message, payload)
        if len(payload) > self._config.largest_bytes:
            raise BusError(
                f"the payload of the message {message.event_id} has {len(payload)} bytes, more than "
                f"OonaConfig.largest_bytes allows, {self._config.largest_bytes}; send less at once"
            )
        return envelope(message, payload, await self.claims.lay_down(place, payload))

    async def unpack(self, data: bytes, topic: TopicNames, place: str) -> OonaMessage:
        """Return the message that stands in an entry.

        Raises:
            UnreadableError: It cannot be read, or its payload is gone or damaged.
            BusUnavailableError: The payload cannot be picked up now.
        """
        return await self.complete(read_envelope(data, topic), place)

    async def complete(self, message: OonaMessage | UnreadableError, place: str) -> OonaMessage:
        """Return a message with its payload; raise what is no message.

        Raises:
            UnreadableError: That error; or the payload is gone or damaged.
            BusUnavailableError: The payload cannot be picked up now.
        """
        if isinstance(message, UnreadableError):
            raise message
        if message.claim is None:
            return message
        payload = orjson.loads(await self.claims.pick_up(place, message.claim))
        if not isinstance(payload, dict):
            raise UnreadableError(
                f"the payload of the message {message.event_id} is no JSON object"
            )
        return message.model_copy(update={"payload": payload, "claim": None})
