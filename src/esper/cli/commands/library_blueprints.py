"""`esper blueprints push`, `pull` and `search`: blueprints in a library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.commands import geometry_options, library_options
from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.library_requests import (
    BlueprintsPullRequest,
    BlueprintsPushRequest,
    BlueprintsSearchRequest,
)
from esper.cli.requests import GeometryRequest
from esper.contracts.enums import BlueprintState

PUSH_EXAMPLES = examples(
    "esper blueprints push --family low-rank --host linear --input 40 --output-shape 100",
    "esper blueprints push kernel.json --name my-kernel --mode residual",
)
PULL_EXAMPLES = examples(
    "esper blueprints pull bp-5b1f... -o kernel.json",
    "esper blueprints pull bp-5b1f... --json",
)
SEARCH_EXAMPLES = examples(
    "esper blueprints search --state invalid", "esper blueprints search --host conv2d --json"
)
_STATES = ", ".join(state.value for state in BlueprintState)


def push(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="Graph IR as JSON, or what `pull --json` wrote.")
    ] = None,
    family: Annotated[str | None, typer.Option(help="Blueprint family instead.")] = None,
    size: Annotated[str | None, typer.Option(help="One size only; default: every one.")] = None,
    mode: Annotated[
        str | None, typer.Option(help="replacing or residual; default: what the family offers.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name for people; default: the file's.")] = None,
    proposed: Annotated[
        bool, typer.Option("--proposed", help="Store it without offering it to the forge.")
    ] = False,
    urza: library_options.Urza = None,
    host: geometry_options.Host = None,
    input_shape: geometry_options.InputShape = None,
    output_shape: geometry_options.OutputShape = None,
    source: geometry_options.SourceShape = None,
    causal: geometry_options.Causal = False,
    vocabulary: geometry_options.Vocabulary = None,
    as_json: library_options.AsJson = False,
) -> None:
    """Submit blueprints to a library, where a forge builds and proves them."""
    geometry = GeometryRequest(
        host=host,
        input_shape=input_shape,
        output_shape=output_shape,
        source_shape=source,
        causal=causal,
        vocabulary=vocabulary,
    )
    request = BlueprintsPushRequest(
        urza=urza,
        file=file,
        family=family,
        size=size,
        mode=mode,
        geometry=geometry,
        name=name,
        proposed=proposed,
        as_json=as_json,
    )
    carry_out(context, "blueprints_push", request)


def pull(
    context: typer.Context,
    blueprint_id: Annotated[str, typer.Argument(help="As `push` and `search` print it.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: the terminal.")
    ] = None,
    urza: library_options.Urza = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The whole record: state, reason, proof, kernels.")
    ] = False,
) -> None:
    """Get a blueprint's graph from a library, as `esper kernel build --ir` takes it."""
    request = BlueprintsPullRequest(
        urza=urza, blueprint_id=blueprint_id, output=output, as_json=as_json
    )
    carry_out(context, "blueprints_pull", request)


def search(
    context: typer.Context,
    host: geometry_options.Host = None,
    family: Annotated[str | None, typer.Option(help="Blueprint family.")] = None,
    state: Annotated[str | None, typer.Option(help=f"Where it stands: {_STATES}.")] = None,
    limit: library_options.Limit = 50,
    urza: library_options.Urza = None,
    as_json: library_options.AsJson = False,
) -> None:
    """List the blueprints of a library, with where they stand."""
    request = BlueprintsSearchRequest(
        urza=urza, host=host, family=family, state=state, limit=limit, as_json=as_json
    )
    carry_out(context, "blueprints_search", request)


def add_to(app: typer.Typer) -> None:
    """Add the commands to `esper blueprints`."""
    app.command(name="push", epilog=PUSH_EXAMPLES)(push)
    app.command(name="pull", epilog=PULL_EXAMPLES)(pull)
    app.command(name="search", epilog=SEARCH_EXAMPLES)(search)
