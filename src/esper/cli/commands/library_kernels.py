"""`esper kernel push`, `pull`, `promote`, `lineage`, `sign` and `search`: kernels in a library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.commands import geometry_options, library_options
from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.library_requests import (
    KernelLineageRequest,
    KernelPromoteRequest,
    KernelPullRequest,
    KernelPushRequest,
    KernelSearchRequest,
    KernelSignRequest,
)
from esper.contracts.asset_lifecycle import KernelEvent
from esper.contracts.enums import KernelStatus

PUSH_EXAMPLES = examples(
    "esper kernel push kernel.safetensors --host linear --tag task=mnist1d",
    "esper kernel push kernel.safetensors --key me.pem",
)
PULL_EXAMPLES = examples(
    "esper kernel pull edge-conv@production",
    "esper kernel pull edge-conv@production -o kernel.safetensors --trust me.pem.pub",
)
PROMOTE_EXAMPLES = examples(
    "esper kernel promote 3f1c... --event validate --reason 'measured by hand'",
    "esper kernel promote 3f1c... edge-conv@production",
)
LINEAGE_EXAMPLES = examples("esper kernel lineage edge-conv@production")
SIGN_EXAMPLES = examples(
    "esper kernel sign kernel.safetensors --key me.pem --new-key",
    "esper kernel sign edge-conv@production --key me.pem",
)
SEARCH_EXAMPLES = examples(
    "esper kernel search --host linear --input 40 --output-shape 100 --status validated",
    "esper kernel search --tag task=mnist1d --sort latency --json",
)
_EVENTS = ", ".join(event.value for event in KernelEvent)
_STATUSES = ", ".join(status.value for status in KernelStatus)

Reference = Annotated[
    str, typer.Argument(metavar="KERNEL", help="Id, or an alias such as edge-conv@production.")
]
References = Annotated[
    list[str],
    typer.Argument(metavar="KERNEL...", help="Ids, or aliases such as edge-conv@production."),
]


def push(
    context: typer.Context,
    kernels: Annotated[
        list[str],
        typer.Argument(metavar="KERNEL...", help="Kernel files, or ids in the kernel store."),
    ],
    blueprint: Annotated[
        str | None, typer.Option(metavar="ID", help="The blueprint that they were built from.")
    ] = None,
    host: geometry_options.Host = None,
    tag: library_options.Tags = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key to sign them with first.")
    ] = None,
    urza: library_options.Urza = None,
) -> None:
    """Check kernels as loading does, and store them in a library with their signatures."""
    request = KernelPushRequest(
        urza=urza,
        kernels=tuple(kernels),
        blueprint_id=blueprint,
        host=host or "",
        tags=tuple(tag or ()),
        key=key,
    )
    carry_out(context, "kernel_push", request)


def pull(
    context: typer.Context,
    kernels: References,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="For one kernel; default: the kernel store."
        ),
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Public key; with any of these, one of them must have signed."
        ),
    ] = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Take kernels that were rejected, too.")
    ] = False,
    urza: library_options.Urza = None,
) -> None:
    """Get kernels from a library, check them as loading does, and keep them here."""
    request = KernelPullRequest(
        urza=urza,
        kernels=tuple(kernels),
        output=output,
        trust=tuple(trust or ()),
        rejected=rejected,
    )
    carry_out(context, "kernel_pull", request)


def promote(
    context: typer.Context,
    kernel: Reference,
    alias: Annotated[
        str | None, typer.Argument(help="Name to point at it, such as edge-conv@production.")
    ] = None,
    event: Annotated[str | None, typer.Option(help=f"Move its status: {_EVENTS}.")] = None,
    revision: Annotated[
        int | None,
        typer.Option(
            min=0, help="Only if the alias (the kernel) is at this revision; 0: no alias."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="For the audit log.")] = "",
    urza: library_options.Urza = None,
) -> None:
    """Move a kernel's status, or point an alias at it."""
    request = KernelPromoteRequest(
        urza=urza, kernel=kernel, alias=alias, event=event, revision=revision, reason=reason
    )
    carry_out(context, "kernel_promote", request)


def lineage(
    context: typer.Context,
    kernel: Reference,
    urza: library_options.Urza = None,
    as_json: library_options.AsJson = False,
) -> None:
    """Show where a kernel comes from and what became of it."""
    request = KernelLineageRequest(urza=urza, kernel=kernel, as_json=as_json)
    carry_out(context, "kernel_lineage", request)


def sign(
    context: typer.Context,
    kernels: Annotated[
        list[str],
        typer.Argument(
            metavar="KERNEL...", help="Files (signed beside the file), or ids and aliases."
        ),
    ],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Ed25519 private key, PEM.")],
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make the key first, and FILE.pub for others.")
    ] = False,
    urza: library_options.Urza = None,
) -> None:
    """Sign kernels, after checking them as loading does."""
    request = KernelSignRequest(urza=urza, kernels=tuple(kernels), key=key, new_key=new_key)
    carry_out(context, "kernel_sign", request)


def search(
    context: typer.Context,
    host: geometry_options.Host = None,
    input_shape: geometry_options.InputShape = None,
    output_shape: geometry_options.OutputShape = None,
    mode: Annotated[str | None, typer.Option(help="replacing or residual.")] = None,
    status: Annotated[str | None, typer.Option(help=f"Where it stands: {_STATUSES}.")] = None,
    blueprint: Annotated[str | None, typer.Option(help="Name of its blueprint.")] = None,
    max_parameters: Annotated[int | None, typer.Option(min=0, help="Trainable scalars.")] = None,
    max_latency_us: Annotated[
        float | None, typer.Option(min=0, help="Microseconds; leaves out what was not measured.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(min=0, help="Size of the file.")] = None,
    tag: library_options.Tags = None,
    sort: Annotated[str, typer.Option(help="gain, newest, latency or parameters.")] = "gain",
    limit: library_options.Limit = 50,
    urza: library_options.Urza = None,
    as_json: library_options.AsJson = False,
) -> None:
    """Find kernels in a library, those with the largest proven gain first."""
    request = KernelSearchRequest(
        urza=urza,
        host=host,
        mode=mode,
        input_shape=input_shape,
        output_shape=output_shape,
        status=status,
        blueprint=blueprint,
        max_parameters=max_parameters,
        max_latency_us=max_latency_us,
        max_bytes=max_bytes,
        tags=tuple(tag or ()),
        sort=sort,
        limit=limit,
        as_json=as_json,
    )
    carry_out(context, "kernel_search", request)


def add_to(app: typer.Typer) -> None:
    """Add the commands to `esper kernel`."""
    app.command(name="push", epilog=PUSH_EXAMPLES)(push)
    app.command(name="pull", epilog=PULL_EXAMPLES)(pull)
    app.command(name="promote", epilog=PROMOTE_EXAMPLES)(promote)
    app.command(name="lineage", epilog=LINEAGE_EXAMPLES)(lineage)
    app.command(name="sign", epilog=SIGN_EXAMPLES)(sign)
    app.command(name="search", epilog=SEARCH_EXAMPLES)(search)
