"""`esper status`: how the platform on this machine is."""

from __future__ import annotations

from typing import Annotated

import typer

from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.platform_requests import StatusRequest

EXAMPLES = examples("esper status", "esper status --json")


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what runs here and how it is; exit code 1 unless all of it is ready."""
    carry_out(context, "status", StatusRequest(as_json=as_json))
