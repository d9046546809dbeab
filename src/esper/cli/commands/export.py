"""`esper export`: the grown model without a trace of Esper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.requests import ExportRequest

EXAMPLES = examples(
    "esper export runs/mnist1d-001",
    "esper export runs/mnist1d-001/checkpoint.pt -o model.pt",
    "esper export runs/mnist1d-001 --onnx model.onnx",
)


def export(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="RUN|CHECKPOINT", help="A run folder or its checkpoint.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: model.pt in the run folder."),
    ] = None,
    onnx: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write ONNX too (needs onnx, onnxscript).")
    ] = None,
) -> None:
    """Write the model of a run as plain PyTorch: it loads where Esper is not installed."""
    carry_out(context, "export", ExportRequest(source=source, output=output, onnx=onnx))
