"""Kernels over HTTP: register, look up, search, move, sign; where they come from; their aliases."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from esper.contracts.base import Contract, Count, NonNegative
from esper.contracts.enums import KernelMode, KernelStatus
from esper.contracts.library import (
    Alias,
    KernelOutcome,
    KernelQuery,
    KernelRecord,
    KernelRegistration,
    Lineage,
    Page,
    Signature,
)
from esper.services.urza.exchange import (
    JSON,
    NOT_MODIFIED,
    PREFIX,
    REVALIDATE,
    AliasPath,
    AliasTarget,
    Cursor,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    KernelIdPath,
    KernelMove,
    Limit,
    also,
    answer,
    etag,
    expected_revision,
    is_there,
    read_answer,
    required_revision,
    router,
    unchanged,
)
from esper.services.urza.guarded_route import ActorDep, LibraryDep, state_of
from esper.web.problems import documented

KERNELS: Final[APIRouter] = router(f"{PREFIX}/kernels", "kernels")

Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}:[^\x00]{0,200}$")]
ShapeText = Annotated[str, StringConstraints(pattern=r"^(\*|[0-9]{1,9})?(,(\*|[0-9]{1,9}))*$")]


class KernelSearch(Contract):
    """A search as query parameters: a `KernelQuery`, an order, and a page."""

    host: Annotated[str, StringConstraints(max_length=64)] | None = None
    """Made for this host type, or for any."""
    mode: KernelMode | None = None
    """How it joins its host."""
    input_shape: ShapeText | None = None
    """Exact shape of a sample at the input, as `3,32,32`; `*` for an axis of any size."""
    output_shape: ShapeText | None = None
    """The same at the output."""
    status: KernelStatus | None = None
    """Where it stands."""
    blueprint: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Name of its blueprint."""
    max_parameters: Count | None = None
    """Most trainable scalars."""
    max_latency_us: NonNegative | None = None
    """Longest median latency, microseconds; kernels that were not measured are left out."""
    max_bytes: Count | None = None
    """Largest file."""
    tag: list[Tag] = Field(default_factory=list, max_length=20)
    """Labels that it must carry, each `key:value`."""
    sort: Literal["gain", "newest", "latency", "parameters"] = "gain"
    """What comes first: the largest proven gain, the newest, the fastest, the smallest."""
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None
    """`next_cursor` of the page before; none for the first."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    """Most records of the page."""

    def query(self) -> KernelQuery:
        """Return what is searched for."""
        own = {"tag", "sort", "cursor", "limit"}
        tags = dict(tag.split(":", 1) for tag in self.tag)
        return KernelQuery(**self.model_dump(exclude=own), tags=tags)


@KERNELS.post(
    "/",
    status_code=201,
    response_model=KernelRecord,
    responses=documented(404, 409, 422) | also(200, "It was there already.", KernelRecord),
)
async def register_kernel(
    library: LibraryDep,
    actor: ActorDep,
    registration: KernelRegistration,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make an uploaded blob known as a kernel; all that a loader checks is checked first."""
    # Looked up before, not within the change: two who register the same at once may both read
    # "new".
    known = await is_there(library.kernels.get_json(registration.kernel_id))
    record = await library.kernels.register(actor, registration)
    return answer(record, 200 if known else 201, revision=record.revision)


@KERNELS.get("/", response_model=Page[KernelRecord], responses=documented(422))
async def search_kernels(library: LibraryDep, wanted: Annotated[KernelSearch, Query()]) -> Response:
    """Search kernels by what they fit and what they cost; proven gain first unless told."""
    page = await library.kernels.search(wanted.query(), wanted.sort, wanted.cursor, wanted.limit)
    return answer(page)


@KERNELS.get(
    "/{kernel_id}", response_model=KernelRecord, responses=documented(404, 422) | NOT_MODIFIED
)
async def get_kernel(request: Request, kernel_id: KernelIdPath) -> Response:
    """Return one kernel's record."""
    # The most frequent request by far: the stored bytes go out as they are, and the library is
    # not asked for through FastAPI's dependencies, which would cost as much as reading it.
    record, revision = await state_of(request).library.kernels.get_json(kernel_id)
    tag = etag(revision)
    headers = {"ETag": tag, "Cache-Control": REVALIDATE}
    if unchanged(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(record, 200, headers, JSON)


@KERNELS.post(
    "/{kernel_id}/transitions",
    response_model=KernelRecord,
    responses=documented(404, 409, 412, 422, 428),
)
async def move_kernel(
    library: LibraryDep,
    actor: ActorDep,
    kernel_id: KernelIdPath,
    move: KernelMove,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Move a kernel along its table."""
    revision = required_revision(if_match)
    record = await library.kernels.move(actor, kernel_id, move.event, revision, move.reason)
    return answer(record, revision=record.revision)


@KERNELS.post(
    "/{kernel_id}/signatures", response_model=KernelRecord, responses=documented(404, 409, 422)
)
async def sign_kernel(
    library: LibraryDep,
    actor: ActorDep,
    kernel_id: KernelIdPath,
    signature: Signature,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Add a signature; adding it again changes nothing."""
    record = await library.kernels.sign(actor, kernel_id, signature)
    return answer(record, revision=record.revision)


@KERNELS.get("/{kernel_id}/lineage", response_model=Lineage, responses=documented(404, 422))
async def get_lineage(library: LibraryDep, kernel_id: KernelIdPath) -> Response:
    """Return where a kernel comes from and what became of it."""
    return answer(await library.kernels.lineage(kernel_id))


@KERNELS.get(
    "/{kernel_id}/field-reports",
    response_model=Page[KernelOutcome],
    responses=documented(404, 422),
)
async def list_field_reports(
    library: LibraryDep, kernel_id: KernelIdPath, cursor: Cursor = None, limit: Limit = 50
) -> Response:
    """List what a kernel did in runs, oldest first."""
    return answer(await library.outcomes.of(kernel_id, cursor, limit))


FIELD_REPORTS: Final[APIRouter] = router(f"{PREFIX}/field-reports", "field reports")


@FIELD_REPORTS.post(
    "/",
    status_code=201,
    response_model=KernelOutcome,
    responses=documented(404, 409, 422) | also(200, "It was there already.", KernelOutcome),
)
async def add_field_report(
    library: LibraryDep,
    actor: ActorDep,
    outcome: KernelOutcome,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Keep a report; sending it again changes nothing."""
    new = await library.outcomes.add(actor, outcome)
    return answer(outcome, 201 if new else 200)


ALIASES: Final[APIRouter] = router(f"{PREFIX}/aliases", "aliases")


@ALIASES.get("/", response_model=Page[Alias], responses=documented(422))
async def list_aliases(library: LibraryDep, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """List aliases by name."""
    return answer(await library.aliases.list(cursor, limit))


@ALIASES.get("/{name}", response_model=Alias, responses=documented(404, 422) | NOT_MODIFIED)
async def get_alias(request: Request, library: LibraryDep, name: AliasPath) -> Response:
    """Return where an alias points."""
    alias = await library.aliases.get(name)
    return read_answer(request, alias, alias.revision)


@ALIASES.put(
    "/{name}",
    response_model=Alias,
    responses=documented(404, 409, 412, 422, 428) | also(201, "It is new.", Alias),
)
async def put_alias(
    library: LibraryDep,
    actor: ActorDep,
    name: AliasPath,
    target: AliasTarget,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Point an alias at a kernel, if it is as the caller believes it to be."""
    revision = expected_revision(if_match, if_none_match)
    alias = await library.aliases.put(actor, name, target.kernel_id, revision)
    return answer(alias, 201 if revision is None else 200, revision=alias.revision)


@ALIASES.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    responses=documented(404, 409, 412, 422, 428),
)
async def delete_alias(
    library: LibraryDep, actor: ActorDep, name: AliasPath, if_match: IfMatch = None
) -> Response:
    """Remove an alias; the kernel stays."""
    await library.aliases.delete(actor, name, required_revision(if_match))
    return Response(status_code=204)
