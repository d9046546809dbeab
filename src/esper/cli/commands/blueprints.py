"""`esper blueprints`: the kinds of kernel that Esper can grow."""

from __future__ import annotations

from typing import Annotated

import typer

from esper.cli.commands import geometry_options, library_blueprints
from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.requests import BlueprintsRequest, GeometryRequest

app = typer.Typer(
    help="The kinds of kernel that Esper can grow.", no_args_is_help=True, rich_markup_mode="rich"
)

LIST_EXAMPLES = examples(
    "esper blueprints list",
    "esper blueprints list --host linear --input 40 --output-shape 100",
    "esper blueprints list --host linear --input 784 --output-shape 128 --source 1x28x28",
    "esper blueprints list --host linear --input ?x64 --causal",
)
SHOW_EXAMPLES = examples(
    "esper blueprints show low-rank --host linear --input 40 --output-shape 100",
    "esper blueprints show low-rank --size small --host linear --input 40 --json > kernel.json",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(name="list", epilog=LIST_EXAMPLES)
def list_blueprints(
    context: typer.Context,
    host: geometry_options.Host = None,
    input_shape: geometry_options.InputShape = None,
    output_shape: geometry_options.OutputShape = None,
    source: geometry_options.SourceShape = None,
    causal: geometry_options.Causal = False,
    vocabulary: geometry_options.Vocabulary = None,
    as_json: AsJson = False,
) -> None:
    """List the families; with a geometry, those that fit, with parameters and FLOPs."""
    request = BlueprintsRequest(
        family=None,
        size=None,
        mode=None,
        geometry=GeometryRequest(
            host=host,
            input_shape=input_shape,
            output_shape=output_shape,
            source_shape=source,
            causal=causal,
            vocabulary=vocabulary,
        ),
        as_json=as_json,
    )
    carry_out(context, "blueprints", request)


@app.command(name="show", epilog=SHOW_EXAMPLES)
def show_blueprint(
    context: typer.Context,
    family: Annotated[str, typer.Argument(help="Name of the family, as `list` prints it.")],
    size: Annotated[str | None, typer.Option(help="One size only.")] = None,
    mode: Annotated[str | None, typer.Option(help="replacing or residual only.")] = None,
    host: geometry_options.Host = None,
    input_shape: geometry_options.InputShape = None,
    output_shape: geometry_options.OutputShape = None,
    source: geometry_options.SourceShape = None,
    causal: geometry_options.Causal = False,
    vocabulary: geometry_options.Vocabulary = None,
    as_json: AsJson = False,
) -> None:
    """Show one family; with a geometry, the graphs that it gives there (--json: as IR)."""
    request = BlueprintsRequest(
        family=family,
        size=size,
        mode=mode,
        geometry=GeometryRequest(
            host=host,
            input_shape=input_shape,
            output_shape=output_shape,
            source_shape=source,
            causal=causal,
            vocabulary=vocabulary,
        ),
        as_json=as_json,
    )
    carry_out(context, "blueprints", request)


library_blueprints.add_to(app)
