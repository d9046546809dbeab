"""`esper bus`: looks at the messages between the parts of the platform."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from esper.cli.console import (
    Row,
    diagnostics,
    output,
    print_json,
    print_json_line,
    print_notice,
    print_rows,
    say,
)
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.cli.options import AsJson, Redis
from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusError, ConfigError
from esper.contracts.messages import OonaMessage
from esper.contracts.ports import Bus, DeadLetter
from esper.utils.nearest import did_you_mean

with later():
    from esper.hosting import bus_access
    from esper.services.oona import bus_config

NOUN = Noun(is_group=True, extra="oona")
DEAD = Noun("Inspect messages that were given up, and send them again.", extra="oona")
NOUN.add("dead", DEAD)

_PAUSE_SECONDS: Final = 0.25
_TOPICS: Final = [topic.value for topic in TopicNames]
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_POSITION: Final = re.compile(r"\d+(-\d+)?")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_WHEN = "an age (30s, 10m, 2h, 1d), a time (2026-11-21T09:00), or a position"

Topic = Annotated[str, typer.Argument(help="For example events.seed.")]
Topics = Annotated[
    list[str] | None, typer.Argument(metavar="[TOPIC]...", help="Default: every topic.")
]


@NOUN.command(
    "tail",
    "esper bus tail",
    "esper bus tail events.seed events.race --since 10m",
    "esper bus tail health.alerts --json",
)
async def tail(
    *,
    topics: Topics = None,
    since: Annotated[str, typer.Option(metavar="WHEN", help=f"Begin there: now, {_WHEN}.")] = "now",
    redis: Redis = None,
    as_json: AsJson = False,
) -> None:
    """Show messages as they come, until Ctrl-C. Nobody else gets fewer for it."""
    wanted = read_topics(topics or ())
    after = dict.fromkeys(wanted, read_position(since, time.time()))
    console, handler = output(), logging.StreamHandler()
    handler.addFilter(_once())
    logging.basicConfig(handlers=[handler], format="%(message)s", level=logging.WARNING)
    # Ctrl-C cancels what is awaited, and is its ordinary end.
    with suppress(asyncio.CancelledError):
        async with bus_access.shared_bus(redis) as bus:
            while not console.quiet:  # nobody reads any more
                # Read, not consumed: a group would hold back trimming, and count as one that lags.
                pages = await asyncio.gather(*(_news(bus, topic, after[topic]) for topic in wanted))
                for page in pages:
                    if page:
                        after[page[-1][1].topic] = page[-1][0]
                news = sorted((one for page in pages for one in page), key=_when)
                for position, message in news:
                    print_message(console, position, message, as_json=as_json)
                await asyncio.sleep(_PAUSE_SECONDS)


@NOUN.command("stats", "esper bus stats", "esper bus stats --redis redis://127.0.0.1:6379/0")
async def stats(*, redis: Redis = None, as_json: AsJson = False) -> None:
    """Show how far each group is behind, and how many messages were given up."""
    async with bus_access.shared_bus(redis) as bus:
        found = {topic.value: len(await _dead(bus, topic)) for topic in TopicNames}
        dead = {topic: count for topic, count in found.items() if count}
        groups = await bus.lag()
    console = output()
    if as_json:
        print_json(console, {"groups": groups, "dead": dead})
        return
    if not groups:
        say(console, ("no group reads from this bus", "quiet"))
    rows: Iterable[Row] = (
        {
            "topic": (group.topic.value, "name"),
            "group": group.group,
            "waiting": f"{group.waiting:,}",
            "pending": f"{group.pending:,}",
            "oldest": f"{group.oldest_seconds:.1f} s" if group.waiting or group.pending else "",
            "consumers": str(group.consumers),
        }
        for group in groups
    )
    print_rows(console, rows, right=("waiting", "pending", "oldest", "consumers"))
    for topic, count in dead.items():
        letters = "message" if count == 1 else "messages"
        line = f"{count:,} {letters} of {topic} given up: esper bus dead list {topic}"
        say(console, (line, "bad"))


@NOUN.command(
    "replay",
    "esper bus replay events.seed --since 2h",
    "esper bus replay control.results --since 2026-11-21T09:00 --until 2026-11-21T10:00",
    "esper bus replay telemetry.training --limit 5 --json",
)
async def replay(
    *,
    topic: Topic,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help=f"Begin there: {_WHEN}; default: all that is held.")
    ] = "0",
    until: Annotated[str | None, typer.Option(metavar="WHEN")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 1_000_000,
    redis: Redis = None,
    as_json: AsJson = False,
) -> None:
    """Show what a topic still holds. Nothing is delivered again.

    Options:
        until: End there; default: now.
        limit: Most messages.
    """
    wanted, now = read_topic(topic), time.time()
    begin = read_position(since, now)
    end = None if until is None else read_position(until, now)
    console, left = output(), limit
    async with bus_access.shared_bus(redis) as bus:
        async for position, message in bus.replay(wanted, since=begin, until=end):
            print_message(console, position, message, as_json=as_json)
            left -= 1
            if not left or console.quiet:
                return


@DEAD.command("list", "esper bus dead list", "esper bus dead list events.training --json")
async def list_dead(
    *,
    topics: Topics = None,
    limit: Annotated[int, typer.Option(min=1)] = 100,
    redis: Redis = None,
    as_json: AsJson = False,
) -> None:
    """List what was given up, by whom, and why.

    Options:
        limit: Most of each topic, the oldest first.
    """
    wanted = read_topics(topics or ())
    async with bus_access.shared_bus(redis) as bus:
        letters = [letter for one in wanted for letter in await bus.dead(one, limit=limit)]
    if as_json:
        print_json(output(), [_as_data(letter) for letter in letters])
    elif not letters:
        print_notice(diagnostics(), "no message was given up")
    else:
        rows: Iterable[Row] = (
            {
                "topic": (letter.message.topic.value, "name"),
                "id": letter.dead_id,
                "given up by": letter.group,
                "tries": str(letter.tries),
                "what": about(letter.message),
                "error": (letter.error, "bad"),
            }
            for letter in letters
        )
        print_rows(output(), rows)


@DEAD.command("show", "esper bus dead show events.training 1763718000000-0")
async def show_dead(
    *,
    topic: Topic,
    dead_id: Annotated[str, typer.Argument(metavar="ID")],
    redis: Redis = None,
) -> None:
    """Show one whole message, as JSON, with its error.

    Options:
        dead_id: As `list` shows it.
    """
    wanted = read_topic(topic)
    async with bus_access.shared_bus(redis) as bus:
        found = [letter for letter in await _dead(bus, wanted) if letter.dead_id == dead_id]
    if not found:
        raise BusError(
            f"the topic {topic!r} has no dead letter {dead_id!r}; "
            f"esper bus dead list {topic} shows those that it has"
        )
    print_json(output(), _as_data(found[0]))


@DEAD.command(
    "retry",
    "esper bus dead retry events.training 1763718000000-0",
    "esper bus dead retry events.training --all",
)
async def retry(
    *,
    topic: Topic,
    dead_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    everything: Annotated[bool, typer.Option("--all")] = False,
    redis: Redis = None,
) -> None:
    """Publish messages again, each under its own event id: who has seen it drops it.

    Options:
        dead_ids: As `list` shows them.
        everything: All that the topic has.
    """
    if bool(dead_ids) == everything:
        raise ConfigError("say which messages are to be tried again: give their ids, or --all")
    wanted = read_topic(topic)
    async with bus_access.shared_bus(redis) as bus:
        ids = dead_ids or [letter.dead_id for letter in await _dead(bus, wanted)]
        for dead_id in ids:
            await bus.retry(wanted, dead_id)
    count = len(ids)
    text = f"{count} {'message' if count == 1 else 'messages'} published again"
    say(diagnostics(), (text, "good"))


async def _dead(bus: Bus, topic: TopicNames) -> Sequence[DeadLetter]:
    """All that a topic has."""
    return await bus.dead(topic, limit=bus_config.OonaConfig().keep_dead)


def _as_data(letter: DeadLetter) -> dict[str, Any]:
    return {
        "dead_id": letter.dead_id,
        "group": letter.group,
        "tries": letter.tries,
        "error": letter.error,
        "message": letter.message.model_dump(mode="json", exclude={"claim"}),
    }


def _once() -> Callable[[logging.LogRecord], bool]:
    """Let each warning through once: an entry that cannot be read is met again at every look."""
    seen: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        known = text in seen
        seen.add(text)
        return not known

    return is_new


async def _news(bus: Bus, topic: TopicNames, after: str) -> Sequence[tuple[str, OonaMessage]]:
    found = bus.replay(topic, since=after)
    return [(position, message) async for position, message in found if position != after]


def _when(one: tuple[str, OonaMessage]) -> tuple[int, ...]:
    return tuple(int(part) for part in one[0].split("-"))


def read_topic(text: str) -> TopicNames:
    """A topic by its name.

    Raises:
        ConfigError: There is none of that name; names the nearest.
    """
    if text not in _TOPICS:
        raise ConfigError(f"no topic {text!r}. {did_you_mean(text, _TOPICS)}")
    return TopicNames(text)


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
    counts = Counter(words).items()
    return ", ".join(word if n == 1 else f"{n} × {word}" for word, n in counts)


def _position(seconds: float) -> str:
    return str(max(0, int(seconds * 1000)))
