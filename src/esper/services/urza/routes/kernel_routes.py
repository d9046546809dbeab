"""Kernels over HTTP: register, look up, search, move, sign; where they come from; their aliases."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from esper.contracts.library import (
    Alias,
    KernelFilter,
    KernelOutcome,
    KernelQuery,
    KernelRecord,
    KernelRegistration,
    Lineage,
    Page,
    Signature,
)
from esper.services.urza.exchange import (
    PREFIX,
    AliasPath,
    AliasTarget,
    Cursor,
    ExpectedRevision,
    KernelIdPath,
    KernelMove,
    Limit,
    Revision,
    also,
    answer,
    json_answer,
)
from esper.services.urza.guarded_route import ActorDep, LibraryDep, router, state_of
from esper.web.problems import documented

KERNELS: Final[APIRouter] = router(f"{PREFIX}/kernels", "kernels")

Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}:[^\x00]{0,200}$")]


class KernelSearch(KernelFilter):
    """A search as query parameters: a `KernelQuery`, an order, and a page."""

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
        tags = dict(tag.split(":", 1) for tag in self.tag)
        return KernelQuery(**self.model_dump(include={*KernelFilter.model_fields}), tags=tags)


@KERNELS.post(
    "/",
    status_code=201,
    response_model=KernelRecord,
    responses=documented(404) | also(200, "It was there already.", KernelRecord),
)
async def register_kernel(
    library: LibraryDep, actor: ActorDep, registration: KernelRegistration
) -> Response:
    """Make an uploaded blob known as a kernel; all that a loader checks is checked first."""
    record, new = await library.kernels.register(actor, registration)
    return answer(record, 201 if new else 200)


@KERNELS.get("/")
async def search_kernels(
    library: LibraryDep, wanted: Annotated[KernelSearch, Query()]
) -> Page[KernelRecord]:
    """Search kernels by what they fit and what they cost; proven gain first unless told."""
    return await library.kernels.search(wanted.query(), wanted.sort, wanted.cursor, wanted.limit)


@KERNELS.get("/{kernel_id}", response_model=KernelRecord)
async def get_kernel(request: Request, kernel_id: KernelIdPath) -> Response:
    """Return one kernel's record."""
    # The most frequent request by far: the stored bytes go out as they are, and the library is
    # not asked for through FastAPI's dependencies, which would cost as much as reading it.
    record, revision = await state_of(request).library.kernels.get_json(kernel_id)
    return json_answer(record, 200, revision)


@KERNELS.post("/{kernel_id}/transitions")
async def move_kernel(
    library: LibraryDep,
    actor: ActorDep,
    kernel_id: KernelIdPath,
    move: KernelMove,
    revision: Revision,
) -> KernelRecord:
    """Move a kernel along its table."""
    return await library.kernels.move(actor, kernel_id, move.event, revision, move.reason)


@KERNELS.post("/{kernel_id}/signatures")
async def sign_kernel(
    library: LibraryDep, actor: ActorDep, kernel_id: KernelIdPath, signature: Signature
) -> KernelRecord:
    """Add a signature; adding it again changes nothing."""
    return await library.kernels.sign(actor, kernel_id, signature)


@KERNELS.get("/{kernel_id}/lineage")
async def get_lineage(library: LibraryDep, kernel_id: KernelIdPath) -> Lineage:
    """Return where a kernel comes from and what became of it."""
    return await library.kernels.lineage(kernel_id)


@KERNELS.get("/{kernel_id}/field-reports")
async def list_field_reports(
    library: LibraryDep, kernel_id: KernelIdPath, cursor: Cursor = None, limit: Limit = 50
) -> Page[KernelOutcome]:
    """List what a kernel did in runs, oldest first."""
    return await library.outcomes.of(kernel_id, cursor, limit)


FIELD_REPORTS: Final[APIRouter] = router(f"{PREFIX}/field-reports", "field reports")


@FIELD_REPORTS.post(
    "/",
    status_code=201,
    response_model=KernelOutcome,
    responses=documented(404) | also(200, "It was there already.", KernelOutcome),
)
async def add_field_report(
    library: LibraryDep, actor: ActorDep, outcome: KernelOutcome
) -> Response:
    """Keep a report; sending it again changes nothing."""
    new = await library.outcomes.add(actor, outcome)
    return answer(outcome, 201 if new else 200)


ALIASES: Final[APIRouter] = router(f"{PREFIX}/aliases", "aliases")


@ALIASES.get("/")
async def list_aliases(
    library: LibraryDep, cursor: Cursor = None, limit: Limit = 50
) -> Page[Alias]:
    """List aliases by name."""
    return await library.aliases.list(cursor, limit)


@ALIASES.get("/{name}")
async def get_alias(library: LibraryDep, name: AliasPath) -> Alias:
    """Return where an alias points."""
    return await library.aliases.get(name)


@ALIASES.put("/{name}", response_model=Alias, responses=also(201, "It is new.", Alias))
async def put_alias(
    library: LibraryDep,
    actor: ActorDep,
    name: AliasPath,
    target: AliasTarget,
    revision: ExpectedRevision,
) -> Response:
    """Point an alias at a kernel, if it is as the caller believes it to be."""
    alias = await library.aliases.put(actor, name, target.kernel_id, revision)
    return answer(alias, 201 if revision is None else 200)


@ALIASES.delete("/{name}", status_code=204)
async def delete_alias(
    library: LibraryDep, actor: ActorDep, name: AliasPath, revision: Revision
) -> None:
    """Remove an alias; the kernel stays."""
    await library.aliases.delete(actor, name, revision)
