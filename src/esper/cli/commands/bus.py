"""`esper bus`: looks at the messages between the parts of the platform."""

from __future__ import annotations

from typing import Annotated

import typer

from esper.cli.bus_requests import BusReplayRequest, BusStatsRequest, BusTailRequest
from esper.cli.commands import bus_dead, bus_options
from esper.cli.help import examples
from esper.cli.late import carry_out

app = typer.Typer(
    help="Look at the messages between the parts of the platform.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(bus_dead.app, name="dead")

TAIL_EXAMPLES = examples(
    "esper bus tail",
    "esper bus tail events.seed events.race --since 10m",
    "esper bus tail health.alerts --json",
)
STATS_EXAMPLES = examples("esper bus stats", "esper bus stats --redis redis://127.0.0.1:6379/0")
REPLAY_EXAMPLES = examples(
    "esper bus replay events.seed --since 2h",
    "esper bus replay control.results --since 2026-11-21T09:00 --until 2026-11-21T10:00",
    "esper bus replay telemetry.training --limit 5 --json",
)

_WHEN = "an age (30s, 10m, 2h, 1d), a time (2026-11-21T09:00), or a position"


@app.command(name="tail", epilog=TAIL_EXAMPLES)
def tail(
    context: typer.Context,
    topics: bus_options.Topics = None,
    since: Annotated[str, typer.Option(metavar="WHEN", help=f"Begin there: now, {_WHEN}.")] = "now",
    redis: bus_options.Redis = None,
    as_json: bus_options.AsJson = False,
) -> None:
    """Show messages as they come, until Ctrl-C. Nobody else gets fewer for it."""
    request = BusTailRequest(redis=redis, topics=tuple(topics or ()), since=since, as_json=as_json)
    carry_out(context, "bus_tail", request)


@app.command(name="stats", epilog=STATS_EXAMPLES)
def stats(
    context: typer.Context,
    redis: bus_options.Redis = None,
    as_json: bus_options.AsJson = False,
) -> None:
    """Show how far each group is behind, and how many messages were given up."""
    carry_out(context, "bus_stats", BusStatsRequest(redis=redis, as_json=as_json))


@app.command(name="replay", epilog=REPLAY_EXAMPLES)
def replay(
    context: typer.Context,
    topic: bus_options.Topic,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help=f"Begin there: {_WHEN}; default: all that is held.")
    ] = "0",
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="End there; default: now.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most messages.")] = 1_000_000,
    redis: bus_options.Redis = None,
    as_json: bus_options.AsJson = False,
) -> None:
    """Show what a topic still holds. Nothing is delivered again."""
    request = BusReplayRequest(
        redis=redis, topic=topic, since=since, until=until, limit=limit, as_json=as_json
    )
    carry_out(context, "bus_replay", request)
