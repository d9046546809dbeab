"""`esper inspect`: look into a model."""

from __future__ import annotations

from typing import Annotated

import typer

from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.requests import InspectRequest

EXAMPLES = examples(
    "esper inspect runs/mnist1d-001",
    "esper inspect runs/mnist1d-001/checkpoint.pt",
    "esper inspect mnist1d",
    "esper inspect my.project:build --input 3x32x32",
)


def inspect(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A run folder, a checkpoint, a quick-start's name, or MODULE:FUNCTION that "
            "returns an nn.Module.",
        ),
    ],
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="SHAPE",
            help="Shape of one sample, like 40 or 3x32x32; lets geometry and FLOPs be traced.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a model's layers, slots, geometry, states and costs."""
    request = InspectRequest(target=target, input_shape=input_shape, as_json=as_json)
    carry_out(context, "inspect", request)
