"""What routes share: parameters and small bodies; records as answers, with revisions as tags."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Path, Query
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from esper.contracts.base import Contract, Identifier, KernelId, Text
from esper.contracts.errors import RevisionConflictError
from esper.contracts.library import AliasName, KernelRegistration, Slug, ValidationReport
from esper.contracts.lifecycle import BlueprintEvent, KernelEvent

_TAG = re.compile(r'(?:W/)?"[^"]*"')
_REVISION = re.compile(r'"([1-9][0-9]{0,17})"')

PREFIX: Final = "/api/v1"
JSON: Final = "application/json"
REVALIDATE: Final = "private, no-cache"
"""`Cache-Control` of a record: may be kept, must be asked about."""

IfMatch = Annotated[
    str | None, Header(description="Entity tag of the revision that is to be changed.")
]
IfNoneMatch = Annotated[str | None, Header(description="`*`: only if there is none yet.")]


def etag(revision: int | str) -> str:
    """Return the entity tag of a revision, or of a digest."""
    return f'"{revision}"'


# Coroutines, because FastAPI would send plain functions through its thread pool.
async def required_revision(if_match: IfMatch = None) -> int:
    """Return the revision that `If-Match` names.

    Raises:
        HTTPException: 428, there is no such header.
        RevisionConflictError: It names nothing that could be one revision of ours.
    """
    if if_match is None:
        raise HTTPException(
            428,
            "this changes a record: send If-Match with the ETag that the record was read with",
        )
    found = _REVISION.fullmatch(if_match.strip())
    if found is None:
        raise RevisionConflictError(
            f"If-Match {if_match!r} is not the ETag of a revision; read the record, and send "
            'its ETag, for example If-Match: "3"'
        )
    return int(found[1])


async def expected_revision(
    if_match: IfMatch = None, if_none_match: IfNoneMatch = None
) -> int | None:
    """Return the revision that a PUT replaces, or None if it must create.

    Raises:
        HTTPException: 428, neither header says what is expected.
        RevisionConflictError: The header cannot hold for a record of ours.
    """
    if if_match is not None:
        return await required_revision(if_match)
    if if_none_match is None:
        raise HTTPException(
            428,
            "say what is expected: If-None-Match: * to create, If-Match with the ETag to replace",
        )
    if if_none_match.strip() != "*":
        raise RevisionConflictError(
            f"If-None-Match {if_none_match!r}: only * has a meaning here, for what does not exist"
        )
    return None


def unchanged(if_none_match: str | None, current: str) -> bool:
    """Return whether a reader who sent `If-None-Match` has the record as it is now.

    Args:
        if_none_match: The header; None if there was none.
        current: The record's entity tag.
    """
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    # Weak comparison: a proxy may have weakened the tag that it was given.
    return current in {tag.removeprefix("W/") for tag in _TAG.findall(if_none_match)}


def answer(record: BaseModel, status: int) -> Response:
    """Return a record as JSON; one that has a revision is tagged with it."""
    revision: int | None = getattr(record, "revision", None)
    return json_answer(record.model_dump_json(), status, revision)


def json_answer(content: str | bytes, status: int, revision: int | None) -> Response:
    """Return an answer in JSON, tagged with the revision of what it shows; None if that has none."""
    headers = {} if revision is None else {"ETag": etag(revision), "Cache-Control": REVALIDATE}
    return Response(content, status, headers, JSON)


NOT_MODIFIED: Final[dict[str, Any]] = {"description": "Not Modified"}
"""For OpenAPI: the reader has what there is."""


def also(status: int, description: str, model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of a second way to succeed."""
    return {status: {"description": description, "model": model}}


Revision = Annotated[int, Depends(required_revision)]
"""The revision that a change is based on."""
ExpectedRevision = Annotated[int | None, Depends(expected_revision)]
"""The revision that a PUT replaces; None creates."""

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
