"""`esper bus dead`: messages that a group gave up, with their errors."""

from __future__ import annotations

from typing import Annotated

import typer

from esper.cli.bus_requests import DeadListRequest, DeadRetryRequest, DeadShowRequest
from esper.cli.commands import bus_options
from esper.cli.help import examples
from esper.cli.late import carry_out

app = typer.Typer(
    help="Inspect messages that were given up, and send them again.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

LIST_EXAMPLES = examples("esper bus dead list", "esper bus dead list events.training --json")
SHOW_EXAMPLES = examples("esper bus dead show events.training 1763718000000-0")
RETRY_EXAMPLES = examples(
    "esper bus dead retry events.training 1763718000000-0",
    "esper bus dead retry events.training --all",
)


@app.command(name="list", epilog=LIST_EXAMPLES)
def list_dead(
    context: typer.Context,
    topics: bus_options.Topics = None,
    limit: Annotated[int, typer.Option(min=1, help="Most of each topic, the oldest first.")] = 100,
    redis: bus_options.Redis = None,
    as_json: bus_options.AsJson = False,
) -> None:
    """List what was given up, by whom, and why."""
    request = DeadListRequest(redis=redis, topics=tuple(topics or ()), limit=limit, as_json=as_json)
    carry_out(context, "bus_dead_list", request)


@app.command(name="show", epilog=SHOW_EXAMPLES)
def show(
    context: typer.Context,
    topic: bus_options.Topic,
    dead_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
    redis: bus_options.Redis = None,
) -> None:
    """Show one whole message, as JSON, with its error."""
    carry_out(context, "bus_dead_show", DeadShowRequest(redis=redis, topic=topic, dead_id=dead_id))


@app.command(name="retry", epilog=RETRY_EXAMPLES)
def retry(
    context: typer.Context,
    topic: bus_options.Topic,
    dead_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="As `list` shows them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the topic has.")] = False,
    redis: bus_options.Redis = None,
) -> None:
    """Publish messages again, each under its own event id: who has seen it drops it."""
    request = DeadRetryRequest(
        redis=redis, topic=topic, dead_ids=tuple(dead_ids or ()), everything=everything
    )
    carry_out(context, "bus_dead_retry", request)
