"""`esper doctor`: what is installed, and what would be used."""

from __future__ import annotations

from typing import Annotated

import typer

from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.requests import DoctorRequest

EXAMPLES = examples("esper doctor", "esper doctor --json")


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is installed and what a run would use: torch, threads, data sets, disk."""
    carry_out(context, "doctor", DoctorRequest(as_json=as_json))
