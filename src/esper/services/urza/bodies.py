"""What requests carry besides the contracts: parameters that routes share, and small bodies."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Path, Query
from pydantic import Field

from esper.contracts.base import Contract, Identifier, KernelId, Text
from esper.contracts.library import AliasName, KernelRegistration, Slug, ValidationReport
from esper.contracts.lifecycle import BlueprintEvent, KernelEvent

BlueprintIdPath = Annotated[Identifier, Path(description="Identity of the blueprint.")]
KernelIdPath = Annotated[KernelId, Path(description="SHA-256 of the kernel file.")]
DigestPath = Annotated[KernelId, Path(description="SHA-256 of the bytes.")]
AliasPath = Annotated[AliasName, Path(description="`subject@stage`.")]
TokenIdPath = Annotated[Identifier, Path(description="Identity of the token.")]

Cursor = Annotated[
    str | None,
    Query(max_length=500, description="`next_cursor` of the page before; none for the first."),
]
Limit = Annotated[int, Query(ge=1, le=200, description="Most records of the page.")]
IfMatch = Annotated[
    str | None, Header(description="Entity tag of the revision that is to be changed.")
]
IfNoneMatch = Annotated[str | None, Header(description="`*`: only if there is none yet.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=255,
        description="Any text; the same request with the same key is carried out once.",
    ),
]


LeaseSeconds = Annotated[float, Field(gt=0, le=3600)]
"""How long a lease lasts, seconds."""
FencingToken = Annotated[int, Field(ge=1, lt=2**31)]
"""The number of a lease of a blueprint; only the newest is obeyed."""


class BlueprintMove(Contract):
    """Moves a blueprint along its table."""

    event: BlueprintEvent
    """What happens to it."""
    reason: Text = ""
    """Why, for the audit log."""


class KernelMove(Contract):
    """Moves a kernel along its table."""

    event: KernelEvent
    """What happens to it."""
    reason: Text = ""
    """Why, for the audit log."""


class LeaseRequest(Contract):
    """Asks for the blueprint that has waited longest."""

    worker: Slug
    """Who asks."""
    seconds: LeaseSeconds
    """How long the lease is to last without a heartbeat."""


class LeaseRenewal(Contract):
    """A heartbeat: the worker is still at it."""

    token: FencingToken
    """The lease's fencing token."""
    seconds: LeaseSeconds
    """How long the lease is to last from now."""


class LeaseCompletion(Contract):
    """Ends a lease with a kernel whose blob is stored already."""

    token: FencingToken
    """The lease's fencing token."""
    registration: KernelRegistration
    """The kernel."""
    report: ValidationReport
    """Its proof."""


class LeaseFailure(Contract):
    """Ends a lease without a kernel."""

    token: FencingToken
    """The lease's fencing token."""
    reason: Text
    """What went wrong."""
    report: ValidationReport | None = None
    """The proof as far as it got."""
    retry: bool = False
    """Whether another try may succeed."""


class AliasTarget(Contract):
    """Where an alias is to point."""

    kernel_id: KernelId
    """The kernel."""


class GarbageRequest(Contract):
    """Asks for blobs that no kernel refers to to be removed."""

    grace_seconds: Annotated[float, Field(ge=0, le=315_360_000)] | None = None
    """Least age of what is removed; None means the library's setting."""
    dry_run: bool = False
    """Whether to count only."""


class Condition(Contract):
    """How the server is."""

    status: Text
    """`live`, `ready`, `draining` or what is wrong."""
