"""The options that commands about the bus share."""

from __future__ import annotations

from typing import Annotated

import typer

Redis = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        help="The bus, as redis:// or valkey://; default: $ESPER_REDIS_URL, what the file of "
        "$ESPER_REDIS_URL_FILE holds, or the platform that runs here.",
    ),
]
Topic = Annotated[str, typer.Argument(help="For example events.seed.")]
Topics = Annotated[
    list[str] | None, typer.Argument(metavar="[TOPIC]...", help="Default: every topic.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
