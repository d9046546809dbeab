"""`esper control`: changes a seed of a model that trains, or stops the run."""

from __future__ import annotations

from typing import Annotated

import typer

from esper.cli.bus_requests import ControlRequest
from esper.cli.commands import bus_options
from esper.cli.help import examples
from esper.cli.late import carry_out

ACTIONS = ("load", "unload", "set-alpha", "cull", "freeze", "fossilize", "stop")

EXAMPLES = examples(
    "esper control 1a2b3c set-alpha net.0 --alpha 0.5",
    "esper control runs/mnist1d-001 load net.0#1 --kernel 9f86d0...",
    "esper control 1a2b3c cull net.0",
    "esper control 1a2b3c stop --reason 'good enough'",
)

HELP = """Change a seed of a model that trains, or stop the run.

\b
The command is carried out at the run's next step boundary, once, and its
result is shown. A seed that growth is busy with is left alone, and the
command refused.
"""


def control(
    context: typer.Context,
    run: Annotated[
        str, typer.Argument(help="Id of the run, the beginning of its id, or its folder.")
    ],
    action: Annotated[str, typer.Argument(metavar="|".join(ACTIONS), help="What to do.")],
    seed: Annotated[
        str | None,
        typer.Argument(
            metavar="[LAYER[#SLOT]]", help="Which seed; slot 0 if none is said. Not for stop."
        ),
    ] = None,
    kernel: Annotated[
        str | None, typer.Option(metavar="ID", help="load: the kernel, 64 hexadecimal digits.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="set-alpha: the blending coefficient, 0 to 1.")
    ] = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="stop: goes into the run's log.")
    ] = "asked for on the command line",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the result.")] = False,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for the result.")
    ] = 60.0,
    redis: bus_options.Redis = None,
) -> None:
    """Change a seed of a model that trains, or stop the run."""
    request = ControlRequest(
        redis=redis,
        run=run,
        action=action,
        seed=seed,
        kernel=kernel,
        alpha=alpha,
        reason=reason,
        wait_seconds=None if no_wait else wait,
    )
    carry_out(context, "control", request)
