"""The options that say where a kernel is to stand; `blueprints` and `kernel` share them."""

from __future__ import annotations

from typing import Annotated

import typer

_PANEL = "Where it is to stand"

Host = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        help="Type of the host layer: linear, conv1d, conv2d, layer_norm, embedding, ...",
        rich_help_panel=_PANEL,
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="SHAPE",
        help="Input of one sample: 40, 16x32, 3x32x32; ? is an axis of any size, as in ?x64.",
        rich_help_panel=_PANEL,
    ),
]
OutputShape = Annotated[
    str | None,
    typer.Option(
        "--output-shape",
        metavar="SHAPE",
        help="Output of one sample; default: the input's.",
        rich_help_panel=_PANEL,
    ),
]
SourceShape = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="SHAPE",
        help="What a flat input was before it was flattened, like 1x28x28.",
        rich_help_panel=_PANEL,
    ),
]
Causal = Annotated[
    bool,
    typer.Option("--causal", help="No position may see a later one.", rich_help_panel=_PANEL),
]
Vocabulary = Annotated[
    int | None,
    typer.Option(min=1, help="Number of ids, for embeddings.", rich_help_panel=_PANEL),
]
