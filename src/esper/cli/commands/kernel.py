"""`esper kernel`: kernel files, which hold weights and a graph and cannot run code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.commands import geometry_options, library_kernels
from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.requests import GeometryRequest, KernelBuildRequest, KernelFileRequest

app = typer.Typer(
    help="Build, read and check kernel files.", no_args_is_help=True, rich_markup_mode="rich"
)

BUILD_EXAMPLES = examples(
    "esper kernel build --family low-rank --size small --host linear --input 40 --output-shape 100 "
    "-o kernel.safetensors",
    "esper kernel build --ir kernel.json -o kernel.safetensors",
)
SHOW_EXAMPLES = examples("esper kernel show kernel.safetensors", "esper kernel show 3f1c...")
VERIFY_EXAMPLES = examples(
    "esper kernel verify *.safetensors",
    "esper kernel verify *.safetensors --trust me.pem.pub",
)

Kernels = Annotated[
    list[str],
    typer.Argument(metavar="KERNEL...", help="Kernel files, or ids in the kernel store."),
]


@app.command(name="build", epilog=BUILD_EXAMPLES)
def build(
    context: typer.Context,
    family: Annotated[str | None, typer.Option(help="Blueprint family.")] = None,
    size: Annotated[
        str | None, typer.Option(help="Size within the family; default: its first.")
    ] = None,
    ir: Annotated[
        Path | None, typer.Option("--ir", metavar="FILE", help="Graph IR as JSON instead.")
    ] = None,
    mode: Annotated[str, typer.Option(help="replacing or residual.")] = "replacing",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: into the kernel store."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the initial weights.")] = 0,
    host: geometry_options.Host = None,
    input_shape: geometry_options.InputShape = None,
    output_shape: geometry_options.OutputShape = None,
    source: geometry_options.SourceShape = None,
    causal: geometry_options.Causal = False,
    vocabulary: geometry_options.Vocabulary = None,
) -> None:
    """Build a kernel with fresh weights, from a blueprint and a geometry or from graph IR."""
    request = KernelBuildRequest(
        family=family,
        size=size,
        ir=ir,
        mode=mode,
        geometry=GeometryRequest(
            host=host,
            input_shape=input_shape,
            output_shape=output_shape,
            source_shape=source,
            causal=causal,
            vocabulary=vocabulary,
        ),
        output=output,
        seed=seed,
    )
    carry_out(context, "kernel_build", request)


@app.command(name="show", epilog=SHOW_EXAMPLES)
def show(
    context: typer.Context,
    kernels: Kernels,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the IR included.")] = False,
) -> None:
    """Show what a kernel file holds: manifest, graph, costs."""
    request = KernelFileRequest(kernels=tuple(kernels), show=True, as_json=as_json)
    carry_out(context, "kernel_file", request)


@app.command(name="verify", epilog=VERIFY_EXAMPLES)
def verify(
    context: typer.Context,
    kernels: Kernels,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Public key; with any of these, one of them must have signed."
        ),
    ] = None,
) -> None:
    """Check kernel files in every way that loading does; exit code 4 if one is refused."""
    request = KernelFileRequest(
        kernels=tuple(kernels), show=False, as_json=False, trust=tuple(trust or ())
    )
    carry_out(context, "kernel_file", request)


library_kernels.add_to(app)
