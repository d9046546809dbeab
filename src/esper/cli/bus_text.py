"""Messages as lines for people, and topics and times as they are typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Console

from esper.cli.console import print_json_line, say
from esper.contracts.enums import TopicNames
from esper.contracts.errors import ConfigError
from esper.contracts.messages import OonaMessage
from esper.utils.nearest import did_you_mean

_TOPICS: Final = [topic.value for topic in TopicNames]
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_POSITION: Final = re.compile(r"\d+(-\d+)?")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def read_topic(text: str) -> TopicNames:
    """A topic by its name.

    Raises:
        ConfigError: There is none of that name; names the nearest.
    """
    try:
        return TopicNames(text)
    except ValueError:
        raise ConfigError(f"no topic {text!r}. {did_you_mean(text, _TOPICS)}") from None


def read_topics(texts: Sequence[str]) -> Sequence[TopicNames]:
    """The topics of these names; all topics where none is named."""
    return [read_topic(text) for text in texts] or list(TopicNames)


def read_position(text: str, now: float) -> str:
    """A place in a topic: positions on a server begin with the time, in milliseconds.

    Args:
        text: `now`, an age such as `10m`, a time such as `2026-11-21T09:00`, or a position.
        now: Seconds since the epoch.

    Raises:
        ConfigError: It is none of these.
    """
    if text == "now":
        return _position(now)
    age = _AGE.fullmatch(text)
    if age is not None:
        return _position(now - float(age[1]) * _SECONDS[age[2]])
    if _POSITION.fullmatch(text):
        return text
    try:
        return _position(datetime.fromisoformat(text).timestamp())
    except ValueError:
        raise ConfigError(
            f"{text!r} is no time: give an age (30s, 10m, 2h, 1d), a time "
            "(2026-11-21T09:00), or a position"
        ) from None


def print_message(
    console: Console, position: str, message: OonaMessage, *, as_json: bool = False
) -> None:
    """Print a message: one line for people, or all of it as one line of JSON."""
    if as_json:
        text = message.model_dump_json(exclude={"claim"})
        print_json_line(console, f'{{"position":"{position}",{text[1:]}')
        return
    when = message.timestamp.astimezone()
    say(
        console,
        (f"{when:%T}.{when.microsecond // 1000:03d} ", "quiet"),
        (f"{message.topic.value} ", "name"),
        (f"{message.sender_id} ", "quiet"),
        about(message),
    )


def about(message: OonaMessage) -> str:
    """What a message says, in a few words."""
    payload: Mapping[str, Any] = message.payload
    kind = payload.get("kind", "?")
    if kind == "RunRecords":
        return f"run {payload['run_id'][:8]}, {_about_lines(payload['lines'])}"
    if kind == "KasminaControlCommand":
        seed = f"{payload['layer_name']}#{payload['seed_idx']}"
        return f"{payload['action']} {seed} of run {payload['run_id'][:8]}"
    if kind == "ComponentHealth":
        return f"{payload['status']}{', leaves' if payload['leaving'] else ''}"
    if kind == "Alert":
        over = "over: " if payload["ended_at"] else ""
        return f"{over}{payload['severity']} {payload['rule']}: {payload['message']}"
    told = (f"{name} {payload[name]}" for name in ("blueprint_id", "reason") if payload.get(name))
    return ", ".join([str(kind), *told])


def _about_lines(lines: Sequence[Mapping[str, Any]]) -> str:
    """Lines of a run's log: what they are, and of which steps."""
    bodies = [line["body"] for line in lines]
    if not bodies:
        return "no lines"
    first, last = bodies[0].get("step", 0), bodies[-1].get("step", 0)
    steps = f"step {first}" if first == last else f"steps {first} to {last}"
    return f"{steps}: {_counted(str(body.get('kind') or body.get('type')) for body in bodies)}"


def _counted(words: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(word if n == 1 else f"{n} × {word}" for word, n in counts.items())


def _position(seconds: float) -> str:
    return str(max(0, int(seconds * 1000)))
