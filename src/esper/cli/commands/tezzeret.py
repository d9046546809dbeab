"""`esper tezzeret`: the forge, which builds kernels from blueprints and proves them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.commands import geometry_options, library_options
from esper.cli.forge_requests import (
    LimitsRequest,
    TargetsRequest,
    TezzeretProveRequest,
    TezzeretRunRequest,
)
from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.requests import GeometryRequest

app = typer.Typer(
    help="Build kernels from blueprints and prove them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

RUN_EXAMPLES = examples(
    "esper tezzeret run --urza http://127.0.0.1:8420",
    "esper tezzeret run --workers 4 --no-compile",
)
PROVE_EXAMPLES = examples(
    "esper tezzeret prove low-rank/small --host linear --input 40 --output-shape 100",
    "esper tezzeret prove graph.json --mode residual --no-compile --json",
)

_MEASURE, _LIMITS = "Where to measure", "What a build may take"

Device = Annotated[
    str, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1, ...", rich_help_panel=_MEASURE)
]
Dtype = Annotated[str, typer.Option(help="float32, float16 or bfloat16.", rich_help_panel=_MEASURE)]
Batches = Annotated[
    list[int] | None,
    typer.Option(
        "--batch",
        min=1,
        help="Samples of a call; may be repeated. Default: 1 and 32.",
        rich_help_panel=_MEASURE,
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile/--no-compile",
        help="Compile too, into the cache that trainers share, at the largest batch.",
        rich_help_panel=_MEASURE,
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--build-seconds", min=1, help="Longest time; default: 300.", rich_help_panel=_LIMITS
    ),
]
Memory = Annotated[
    int | None,
    typer.Option(
        "--memory-mib", min=64, help="Most memory; default: 4096.", rich_help_panel=_LIMITS
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads; default: 1.", rich_help_panel=_LIMITS)
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--compile-cache",
        metavar="DIR",
        help="Compiled kernels; default: $ESPER_HOME/compiled, or in the user's cache folder.",
        rich_help_panel=_MEASURE,
    ),
]


@app.command(name="run", epilog=RUN_EXAMPLES)
def run(
    context: typer.Context,
    urza: library_options.Urza = None,
    workers: Annotated[int, typer.Option(min=1, help="Builds at the same time.")] = 1,
    name: Annotated[
        str | None, typer.Option(help="What the library knows it by; default: forge.")
    ] = None,
    drain_seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Time for builds to end after SIGTERM; default: 60."),
    ] = None,
    probe_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Answer /livez, /readyz and /metrics on this port of 127.0.0.1; 0 takes a free "
            "one. Default: nowhere.",
        ),
    ] = None,
    device: Device = "cpu",
    dtype: Dtype = "float32",
    batches: Batches = None,
    compile_: Compile = True,
    compile_cache: Cache = None,
    build_seconds: Seconds = None,
    memory_mib: Memory = None,
    threads: Threads = None,
) -> None:
    """Build and prove what waits in a library, until SIGTERM or Ctrl-C."""
    request = TezzeretRunRequest(
        urza=urza,
        workers=workers,
        name=name,
        drain_seconds=drain_seconds,
        probe_port=probe_port,
        targets=_targets(device, dtype, batches, compiled=compile_),
        limits=LimitsRequest(
            seconds=build_seconds,
            memory_mib=memory_mib,
            threads=threads,
            compile_cache=compile_cache,
        ),
    )
    carry_out(context, "tezzeret_run", request)


@app.command(name="prove", epilog=PROVE_EXAMPLES)
def prove(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FAMILY/SIZE",
            help="Graph IR or a pulled blueprint as JSON; or a family, with or without a size.",
        ),
    ],
    mode: Annotated[
        str | None, typer.Option(help="replacing or residual; default: what there is.")
    ] = None,
    host: geometry_options.Host = None,
    input_shape: geometry_options.InputShape = None,
    output_shape: geometry_options.OutputShape = None,
    source_shape: geometry_options.SourceShape = None,
    causal: geometry_options.Causal = False,
    vocabulary: geometry_options.Vocabulary = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the initial weights.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the proven kernel there."),
    ] = None,
    as_json: library_options.AsJson = False,
    device: Device = "cpu",
    dtype: Dtype = "float32",
    batches: Batches = None,
    compile_: Compile = True,
    compile_cache: Cache = None,
    build_seconds: Seconds = None,
    memory_mib: Memory = None,
    threads: Threads = None,
) -> None:
    """Build and prove one blueprint here, without a library; exit code 1 if a check fails."""
    request = TezzeretProveRequest(
        source=source,
        mode=mode,
        geometry=GeometryRequest(
            host=host,
            input_shape=input_shape,
            output_shape=output_shape,
            source_shape=source_shape,
            causal=causal,
            vocabulary=vocabulary,
        ),
        seed=seed,
        output=output,
        as_json=as_json,
        targets=_targets(device, dtype, batches, compiled=compile_),
        limits=LimitsRequest(
            seconds=build_seconds,
            memory_mib=memory_mib,
            threads=threads,
            compile_cache=compile_cache,
        ),
    )
    carry_out(context, "tezzeret_prove", request)


def _targets(
    device: str, dtype: str, batches: list[int] | None, *, compiled: bool
) -> TargetsRequest:
    return TargetsRequest(
        device=device, dtype=dtype, batches=tuple(batches or (1, 32)), compile=compiled
    )
