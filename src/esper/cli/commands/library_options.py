"""The options that say which library is meant; `urza`, `blueprints` and `kernel` share them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_PANEL = "Which library"

Urza = Annotated[
    str | None,
    typer.Option(
        "--urza",
        metavar="URL",
        help="Address of the library; default: $ESPER_URZA_URL. The token is taken from "
        "$ESPER_URZA_TOKEN, or from the file that $ESPER_URZA_TOKEN_FILE names.",
        rich_help_panel=_PANEL,
    ),
]
Remote = Annotated[
    str | None,
    typer.Option(
        "--urza",
        metavar="URL",
        help="Ask the library at this address (an admin's token is needed); without it, work on "
        "this machine's own.",
        rich_help_panel=_PANEL,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="DIR",
        help="Where an embedded library lies; default: $ESPER_HOME/urza, or urza in the user's "
        "data folder. $ESPER_URZA_DATABASE_URL and $ESPER_URZA_BLOBS name other places.",
        rich_help_panel=_PANEL,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Most entries.")]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="NAME=VALUE", help="Label; may be given more than once."),
]
